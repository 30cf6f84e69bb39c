package ingest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway"
)

const patient = 10 * time.Second

func testConfig(t *testing.T) Config {
	return Config{Socket: filepath.Join(t.TempDir(), "run", "in.sock"), Mode: "0660", MaxLine: 65536, MaxClients: 16}
}

// socket is a Dev at work.
type socket struct {
	dev  *Dev
	path string
	sink *drivertest.Sink
	stop context.CancelFunc
	// ended is closed when Run has returned err.
	ended chan struct{}
	err   error
}

// start runs a socket until the test ends; change may alter it before.
func start(t *testing.T, change func(*Dev, *drivertest.Sink)) *socket {
	t.Helper()
	dev, err := New(testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	s := &socket{dev: dev, path: dev.config.Socket, sink: &drivertest.Sink{}, ended: make(chan struct{})}
	if change != nil {
		change(dev, s.sink)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go func() {
		defer close(s.ended)
		s.err = dev.Run(ctx, s.sink)
	}()
	t.Cleanup(func() { s.stopped(t) })
	return s
}

// stopped stops the socket and fails the test if that takes long.
func (s *socket) stopped(t *testing.T) {
	t.Helper()
	s.stop()
	select {
	case <-s.ended:
		if s.err != nil {
			t.Errorf("Run: %v", s.err)
		}
	case <-time.After(patient):
		t.Fatal("Run does not return")
	}
}

// peer is a program that hands in readings.
type peer struct {
	*net.UnixConn
	in *bufio.Reader
}

// dial connects, as soon as the socket is there.
func (s *socket) dial(t *testing.T) *peer {
	t.Helper()
	deadline := time.Now().Add(patient)
	for {
		conn, err := net.Dial("unix", s.path)
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
			if err := conn.SetDeadline(deadline); err != nil {
				t.Fatal(err)
			}
			return &peer{conn.(*net.UnixConn), bufio.NewReader(conn)}
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}

func (p *peer) send(t *testing.T, text string) {
	t.Helper()
	if _, err := p.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// reply is one answer.
type reply struct{ ID, Error string }

func (p *peer) reply(t *testing.T) reply {
	t.Helper()
	text, err := p.in.ReadString('\n')
	if err != nil {
		t.Fatalf("no answer: %v (%q)", err, text)
	}
	var r reply
	if err := json.Unmarshal([]byte(text), &r); err != nil || (r.ID == "") == (r.Error == "") {
		t.Fatalf("answer %q: %v", text, err)
	}
	return r
}

// wantID takes an answer that is an id, wantError one that is an error.
func (p *peer) wantID(t *testing.T) string {
	t.Helper()
	r := p.reply(t)
	if _, err := gateway.ParseMessageID(r.ID); err != nil {
		t.Errorf("answer %+v, want an id: %v", r, err)
	}
	return r.ID
}

func (p *peer) wantError(t *testing.T, parts ...string) {
	t.Helper()
	r := p.reply(t)
	for _, part := range parts {
		if !strings.Contains(r.Error, part) {
			t.Errorf("answer %+v, want an error with %q", r, part)
		}
	}
}

// wantEnd: nothing more comes, the connection is over.
func (p *peer) wantEnd(t *testing.T) {
	t.Helper()
	rest, err := io.ReadAll(p.in)
	if len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the end: %q, %v", rest, err)
	}
}

// names are the names of all readings that were accepted, in order.
func (s *socket) names() (list []string) {
	for _, batch := range s.sink.Batches() {
		for _, r := range batch {
			list = append(list, r.Name)
		}
	}
	return list
}
