package mqtt

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// Proxy is an HTTP proxy that passes connections on (RFC 9110, 9.3.6). Its
// String shows no password.
type Proxy struct {
	url *url.URL
}

var errProxyForm = fmt.Errorf("want http://host:port, or http://user:password@host:port with reserved characters percent-encoded: %w", gateway.ErrInvalid)

// ParseProxy reads http://[user:password@]host[:port]; the port is 3128 if left
// out. Nothing is no proxy, which is nil. Errors quote nothing of s: it may hold
// a password.
func ParseProxy(s string) (*Proxy, error) {
	if s == "" {
		return nil, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" || strings.ContainsAny(u.Hostname(), "[]") || (u.Path != "" && u.Path != "/") ||
		u.RawQuery != "" || u.Fragment != "" {
		return nil, errProxyForm
	}
	port := u.Port()
	if port == "" {
		port = "3128"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, errProxyForm
	}
	return &Proxy{&url.URL{Scheme: "http", User: u.User, Host: net.JoinHostPort(u.Hostname(), port)}}, nil
}

// URL is for http.Transport; it holds the password.
func (p *Proxy) URL() *url.URL { return p.url }

func (p *Proxy) String() string { return "http://" + p.url.Host }

// ErrBehindProxy says that the proxy works and does not get to the server, whose
// name it may not find.
var ErrBehindProxy = errors.New("does not connect to")

// maxProxyAnswer bounds the header of the answer to CONNECT.
const maxProxyAnswer = 64 << 10

// open asks the proxy at the other end of line to pass it on to address.
func (p *Proxy) open(line net.Conn, address string) error {
	request := &http.Request{
		Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{},
	}
	if u := p.url.User; u != nil {
		password, _ := u.Password()
		auth := &http.Request{Header: http.Header{}}
		auth.SetBasicAuth(u.Username(), password)
		request.Header.Set("Proxy-Authorization", auth.Header.Get("Authorization"))
	}
	if err := request.Write(line); err != nil {
		return fmt.Errorf("proxy %v: %w", p, err)
	}
	// The peer behind the proxy speaks second, so that nothing may be left over.
	reader := bufio.NewReader(io.LimitReader(line, maxProxyAnswer))
	answer, err := http.ReadResponse(reader, request) //nolint:bodyclose // closing would read the way that was opened to its end
	switch {
	case err != nil:
		return fmt.Errorf("proxy %v: %w", p, err)
	case answer.StatusCode == http.StatusProxyAuthRequired:
		return fmt.Errorf("proxy %v does not accept user and password; check them in proxy (%.80s)", p, answer.Status)
	case answer.StatusCode/100 != 2:
		return fmt.Errorf("proxy %v %w %s: %.80s", p, ErrBehindProxy, address, answer.Status)
	case reader.Buffered() > 0:
		return fmt.Errorf("proxy %v: %w", p, errors.New("it answers more than was asked"))
	}
	return nil
}
