package iothub

import (
	"bytes"
	"context"
	"encoding/base64"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/uplinktest"
)

// logbook is a log that can be read while it is written.
type logbook struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.String()
}

// TestWrongKey: one clear line for each attempt, the attempts far apart, and
// not a word of the key.
func TestWrongKey(t *testing.T) {
	h := startHub(t)
	wrong := base64.StdEncoding.EncodeToString([]byte("another key of 32 bytes for test"))
	c := h.config
	c.ConnectionString = config.Secret(strings.Replace(c.ConnectionString.Reveal(), testKey, wrong, 1))
	book := &logbook{}
	log := slog.New(slog.NewTextHandler(book, nil))
	u, err := New(c, Parts{Clock: h.clock, Inbox: h.inbox, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	sender, err := uplink.New(uplink.Options{
		Store: &uplinktest.Store{}, Upstream: u, Log: log, Health: health.NewBoard(log),
		MinBackoff: 10 * time.Millisecond, MaxBackoff: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	const refusal, some = `level=ERROR msg="uplink refused"`, 3
	begun := time.Now()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- sender.Run(ctx) }()
	for end := begun.Add(time.Minute); strings.Count(book.String(), refusal) < some && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	if took, least := time.Since(begun), (some-1)*time.Second/2; took < least {
		t.Errorf("%d logins in %v, want no more than one every 0.5 s", some, took)
	}
	stop()
	if err := await(t, ended); err != nil {
		t.Error(err)
	}
	said := book.String()
	h.mu.Lock()
	logins := h.logins
	h.mu.Unlock()
	if n := strings.Count(said, refusal); n < some || logins < n || logins > n+1 { // a last one may be cut short
		t.Errorf("%d lines for %d refusals", n, logins)
	}
	if n := strings.Count(said, `msg="health condition" code=uplink-refused`); n != 1 {
		t.Errorf("the condition is stated %d times", n)
	}
	if !strings.Contains(said, "the key, and that the clock of this board is right") || !strings.Contains(said, "next_attempt_in=") {
		t.Error("the log does not say what to do, and when it is tried again")
	}
	if strings.Contains(said, wrong) || strings.Contains(said, "sig=") {
		t.Error("the log tells a secret")
	}
	if t.Failed() {
		t.Log(said)
	}
}
