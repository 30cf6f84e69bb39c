package main

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/service"
)

// pipes is a listener of connections in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

// TestActionsTakeTheirTime: what is asked of a device is waited for, and a
// gateway that does not answer is not one that is not there.
func TestActionsTakeTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := make(pipes)
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(9 * time.Minute): // as exporting a long queue may
				answer := `{"status":"done"}`
				_, _ = w.Write([]byte(answer))
			case <-r.Context().Done():
			}
		})}
		served := make(chan error, 1)
		go func() { served <- server.Serve(line) }()
		c := newClient("/run/x.sock", func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			line <- far
			return near, nil
		})
		var r gateway.Result
		if err := c.wait(t.Context(), http.MethodPost, "/v1/do", service.DoRequest{}, &r); err != nil || r.Status != gateway.StatusDone {
			t.Errorf("result %+v, %v", r, err)
		}
		if err := c.get("/v1/status", &r); err == nil || !strings.Contains(err.Error(), "has not answered in time") {
			t.Errorf("error %v", err)
		}
		c.http.CloseIdleConnections()
		close(line)
		<-served
		_ = server.Close()
	})
}
