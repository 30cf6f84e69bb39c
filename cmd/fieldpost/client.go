package main

import (
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

func (s socketFlag) client() *client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", s.Socket)
	}
	return &client{socket: s.Socket, http: &http.Client{
		Transport: &http.Transport{DialContext: dial},
		Timeout:   2 * time.Minute,
	}}
}

// get asks for path and decodes the answer into v.
func (c *client) get(path string, v any) error {
	return c.call(http.MethodGet, path, nil, v)
}

// call sends body as JSON, if it is not nil, and decodes the answer into v.
func (c *client) call(method, path string, body, v any) error {
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, "http://fieldpost"+path, payload)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.explain(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		var f service.Fault
		if json.NewDecoder(resp.Body).Decode(&f) != nil || f.Error == "" {
			f.Error = resp.Status
		}
		return &failure{exitFailed, errors.New(f.Error)}
	}
	return json.NewDecoder(resp.Body).Decode(v)
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
