package broker

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// endpoint is where a broker listens.
type endpoint struct {
	dial, serverName string
	secure           bool
	webSocket        string // its address, "" without one
}

// schemes are the ways to a broker.
var schemes = map[string]struct {
	port              string
	secure, webSocket bool
}{
	"mqtt": {port: "1883"}, "mqtts": {port: "8883", secure: true},
	"ws": {port: "80", webSocket: true}, "wss": {port: "443", secure: true, webSocket: true},
}

func parseURL(s string) (endpoint, error) {
	const want = "want mqtt://host:port, mqtts://host:port, ws://host:port/path or wss://host:port/path"
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || strings.ContainsAny(u.Hostname(), "[]") {
		return endpoint{}, errors.New(want)
	}
	scheme, known := schemes[u.Scheme]
	port := scheme.port
	switch {
	case !known:
		return endpoint{}, fmt.Errorf("the scheme %.20q is unknown, %s", u.Scheme, want)
	case u.User != nil:
		return endpoint{}, errors.New("holds a user; use username and password")
	case u.Fragment != "":
		return endpoint{}, fmt.Errorf("holds a fragment, %s", want)
	case !scheme.webSocket && (strings.Trim(u.Path, "/") != "" || u.RawQuery != ""):
		return endpoint{}, fmt.Errorf("holds more than a host and a port, %s", want)
	case u.Port() != "":
		port = u.Port()
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return endpoint{}, fmt.Errorf("the port %s is not one of 1 to 65535", port)
	}
	e := endpoint{dial: net.JoinHostPort(u.Hostname(), port), serverName: u.Hostname(), secure: scheme.secure}
	if scheme.webSocket {
		e.webSocket = u.String()
	}
	return e, nil
}
