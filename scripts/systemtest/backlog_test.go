//go:build wide

package systemtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"
)

// TestLiveReadingsPassAMillion: a million messages have gathered while the hub
// was away, and the link is slow. What is read now is at the hub within 10 s all
// the same, and the gateway keeps to its rate.
func TestLiveReadingsPassAMillion(t *testing.T) {
	const messages, rate = 1_000_000, 100_000
	dir := t.TempDir()
	h := startHub(t, dir)
	g := prepareGateway(t, dir, h, "  max_age: 100ms\ndevices", "  max_age: 100ms\n  max_bytes: 256\ndevices",
		"every: 100ms", "every: 1s", "backfill: order", "backfill: weave", "    ca_file:", "    max_rate: 100kB/s\n    ca_file:")
	h.process.kill()
	g.start(t)
	if _, err := g.ingestWhenUp(t); err != nil {
		t.Fatal(err)
	}
	lines := make([]string, 20_000)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"name":"backlog","value":%d}`, i)
	}
	for n := 0; n < messages; n += len(lines) {
		if answers, err := g.ingest(lines); err != nil || len(answers) != len(lines) {
			t.Fatalf("%d of %d lines answered: %v", len(answers), len(lines), err)
		}
	}
	h.restart(t)
	eventually(t, 2*time.Minute, func() error { // its back-off may be long
		if s, err := g.status(); err != nil || !s.Upstream.Connected {
			return errors.Join(errors.New("not connected"), err)
		}
		return nil
	})
	connected := time.Now()
	first := settledBytes(t, g, connected.Add(3*time.Second))
	second := settledBytes(t, g, connected.Add(23*time.Second))
	speed := float64(second.sent-first.sent) / second.at.Sub(first.at).Seconds()
	t.Logf("%.0f bytes/s of %d", speed, rate)
	if speed < 0.9*rate || speed > 1.1*rate {
		t.Errorf("%.0f bytes/s, want %d within a tenth", speed, rate)
	}
	s, err := g.status()
	if err != nil || s.waiting() < messages*9/10 {
		t.Fatalf("%d messages wait (%v): the backlog is gone too soon to prove anything", s.waiting(), err)
	}
	judgeAges(t, h.events(t), connected)
}

type bytesSent struct {
	at   time.Time
	sent int64
}

// settledBytes tells what had been sent at a moment.
func settledBytes(t *testing.T, g *gateway, at time.Time) (b bytesSent) {
	t.Helper()
	time.Sleep(time.Until(at))
	s, err := g.status()
	if err != nil {
		t.Fatal(err)
	}
	b.at = time.Now()
	for _, way := range s.Upstream.Bytes {
		b.sent += way["out"]
	}
	return b
}

// judgeAges looks at what was read since the link is back.
func judgeAges(t *testing.T, events []event, since time.Time) {
	t.Helper()
	live, old, worst := 0, 0, time.Duration(0)
	for _, e := range events {
		var body struct {
			Readings []struct {
				Device string
				Time   time.Time
			}
		}
		if err := json.Unmarshal(e.Body, &body); err != nil || len(body.Readings) == 0 {
			continue
		}
		read := body.Readings[0]
		switch {
		case read.Time.Before(since):
			old++
		case read.Device == "bench":
			live++
			worst = max(worst, e.Enqueued.Sub(read.Time))
		}
	}
	t.Logf("%d live messages, the slowest after %v; %d of the backlog", live, worst, old)
	if live < 15 || worst > 10*time.Second {
		t.Errorf("%d live messages, the slowest after %v", live, worst)
	}
	if old < 1000 {
		t.Errorf("only %d of the backlog have come", old)
	}
}
