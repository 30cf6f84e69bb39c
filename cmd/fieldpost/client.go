package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/fieldpost/fieldpost/gateway/service"
)

// socketFlag is shared by the verbs that talk to the daemon.
type socketFlag struct {
	Socket string `help:"Socket of the running gateway (gateway.socket in its config)." default:"/run/fieldpost/fieldpost.sock" env:"FIELDPOST_SOCKET" type:"path"`
}

// client talks to the daemon.
type client struct {
	socket string
	http   *http.Client
}

// dialer makes a connection to whoever serves the local API.
type dialer func(ctx context.Context) (net.Conn, error)

func (s socketFlag) dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", s.Socket)
}

// running says whether a gateway serves the socket. Its error is that it cannot be
// asked.
func (s socketFlag) running() (bool, error) {
	conn, err := s.dial(context.Background())
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return false, nil
	case err != nil:
		return false, s.client().explain(err)
	}
	return true, conn.Close()
}

func (s socketFlag) client() *client { return newClient(s.Socket, s.dial) }

func newClient(socket string, dial dialer) *client {
	return &client{socket: socket, http: &http.Client{
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }},
	}}
}

// callTimeout bounds one call; streams and actions take as long as the work.
const callTimeout = 2 * time.Minute

// get asks for path and decodes the answer into v.
func (c *client) get(path string, v any) error {
	return c.call(http.MethodGet, path, nil, v)
}

// call sends body as JSON, if it is not nil, and decodes the answer into v.
func (c *client) call(method, path string, body, v any) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	return c.wait(ctx, method, path, body, v)
}

// wait is a call whose answer may take as long as ctx allows.
func (c *client) wait(ctx context.Context, method, path string, body, v any) error {
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(data)
	}
	resp, err := c.do(ctx, method, path, payload)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(v)
}

// do asks, and returns an answer that is a success.
func (c *client) do(ctx context.Context, method, path string, payload io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://fieldpost"+path, payload)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	switch {
	case errors.Is(err, context.Canceled):
		return nil, errInterrupted
	case errors.Is(err, context.DeadlineExceeded):
		return nil, &failure{exitFailed, fmt.Errorf("the gateway at %s has not answered in time; see what holds it up: fieldpost status, journalctl -u fieldpost", c.socket)}
	case err != nil:
		return nil, c.explain(err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	var f service.Fault
	if json.NewDecoder(resp.Body).Decode(&f) != nil || f.Error == "" {
		f.Error = resp.Status
	}
	code := exitFailed
	if resp.StatusCode == http.StatusUnprocessableEntity { // so says /v1/reload of a wrong file
		code = exitConfig
	}
	return nil, &failure{code, errors.New(f.Error)}
}

// stream calls f with each line of an answer that is NDJSON, without its end.
// The line is valid until f returns.
func (c *client) stream(ctx context.Context, path string, f func(line []byte) error) error {
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if err := streamFault(lines.Bytes()); err != nil {
			return err
		}
		if err := f(lines.Bytes()); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, context.Canceled):
		return errInterrupted
	case err != nil:
		return fmt.Errorf("the answer of the gateway has broken off: %w", err)
	}
	return nil
}

// errInterrupted is for a person who does not want to wait.
var errInterrupted = errors.New("interrupted")

// maxLine bounds a line: the largest message takes six times its size if it is
// a text that has to be escaped, and a list of what waits grows with its holes.
const maxLine = 16 << 20

// streamFault is the error that ends a stream, if the line is one.
func streamFault(line []byte) error {
	if !bytes.HasPrefix(line, []byte(`{"error":`)) {
		return nil
	}
	var f service.Fault
	if err := json.Unmarshal(line, &f); err != nil {
		return err
	}
	return &failure{exitFailed, errors.New(f.Error)}
}

// explain says what to do when the daemon cannot be reached.
func (c *client) explain(err error) error {
	hint := "is it running? Start it with: systemctl start fieldpost, or: fieldpost run"
	switch {
	case errors.Is(err, os.ErrPermission):
		hint = "you may not use it; join the group that owns the socket, or use sudo"
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
	default:
		hint = err.Error()
	}
	return &failure{exitUnavailable, fmt.Errorf("no gateway at %s: %s", c.socket, hint)}
}
