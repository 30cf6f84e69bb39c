package storeforward

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// byHand is a committer that does nothing by itself.
func byHand(t *testing.T, o Options) *committer {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	if err := prepareDir(o); err != nil {
		t.Fatal(err)
	}
	c, err := newCommitter(o)
	if err != nil {
		t.Fatal(err)
	}
	if c.engine, err = openEngine(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(c.engine.close(), c.witness.abandon()); err != nil {
			t.Error(err)
		}
	})
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestAnEpochEndsItsChunk: what comes into the next epoch is not put with what
// came before.
func TestAnEpochEndsItsChunk(t *testing.T) {
	c := byHand(t, testOptions(filepath.Join(t.TempDir(), "queue")))
	l := c.own[gateway.LaneTelemetry]
	p := c.newPlan()
	lp := p.of(l)
	p.add(lp, msg(l.name, "old"))
	lp.roll()
	p.add(lp, msg(l.name, "new"))
	if err := c.write(p); err != nil {
		t.Fatal(err)
	}
	for seq, body := range map[uint64]string{1: "old", 2: "new"} {
		w, err := c.read(l, seq)
		if m, ok := w.at(seq); err != nil || !ok || string(m.Body) != body {
			t.Errorf("%d: %q %v %v, want %q", seq, m.Body, ok, err, body)
		}
	}
	e, _ := l.find(2)
	key := chunkKey(l.number, e.number, 2)
	found := false
	for _, kv := range p.puts {
		found = found || bytes.Equal(kv.key, key)
	}
	if !found {
		t.Errorf("no chunk begins in epoch %d", e.number)
	}
}

// TestWhatFailsIsNotKept in the buffers of the next plans: a card that takes no
// writes any more is asked again for days.
func TestWhatFailsIsNotKept(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	broken := false
	o.datasync = func(fd int) error {
		if broken {
			return unix.EIO
		}
		return unix.Fdatasync(fd)
	}
	c := byHand(t, o)
	write := func() error {
		p := c.newPlan()
		p.add(p.of(c.own[gateway.LaneTelemetry]), msg(gateway.LaneTelemetry, noise(100_000)))
		return c.write(p)
	}
	broken = true
	for range 10 {
		if err := write(); !errors.Is(err, unix.EIO) {
			t.Fatal(err)
		}
		if n := cap(c.packer.values); n > valuesMost {
			t.Fatalf("%d bytes are kept of writes that failed", n)
		}
	}
	broken = false
	if err := write(); err != nil {
		t.Fatal(err)
	}
}
