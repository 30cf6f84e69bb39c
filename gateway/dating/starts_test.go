package dating_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway/dating"
)

func TestStartBecomesKnown(t *testing.T) {
	b := newBoard()
	s := b.run()
	if got := s.Of("b1"); !got.At.IsZero() || !got.After.Equal(build.Add(-b.up)) {
		t.Errorf("before the time is known: %+v", got)
	}
	b.up += time.Hour
	b.knows = true
	if got := s.Of("b1"); !got.At.Equal(b.start) {
		t.Errorf("as soon as it is known: %+v, want %v", got, b.start)
	}
	b.off = time.Hour // somebody steps the clock
	s.Look()
	if got := b.run().Of("b1"); !got.At.Equal(b.start) {
		t.Errorf("after a restart: %+v, want %v", got, b.start)
	}
	b.reboot("b2", time.Hour)
	if got := b.run().Of("b1"); !got.At.Equal(truth) {
		t.Errorf("after a reboot: %+v, want %v", got, truth)
	}
}

// TestStartThatNeverBecomesKnownHasBounds: a power cut came first.
func TestStartThatNeverBecomesKnownHasBounds(t *testing.T) {
	b := newBoard()
	b.knows = true
	s := b.run()
	b.up += 5 * time.Hour
	s.Stop()
	stopped := b.now()
	for _, boot := range []string{"b2", "b3"} {
		b.reboot(boot, time.Hour)
		s = b.run()
		b.up += time.Hour
	}
	if got := s.Of("b2"); !got.After.Equal(stopped) || !got.Before.IsZero() {
		t.Errorf("while the time is not known: %+v, want after %v", got, stopped)
	}
	b.knows = true
	for _, boot := range []string{"b2", "b3"} {
		got, want := s.Of(boot), dating.Start{After: stopped, Before: b.start}
		if boot == "b3" {
			want = dating.Start{At: b.start}
		}
		if got != want {
			t.Errorf("%s: %+v, want %+v", boot, got, want)
		}
	}
	before := s.Of("b2")
	b.reboot("b4", time.Hour)
	b.knows = true
	if got := b.run().Of("b2"); got != before {
		t.Errorf("one boot later: %+v, want %+v", got, before)
	}
}

// TestCardIsSpared: it is written when something becomes known, and once a day.
func TestCardIsSpared(t *testing.T) {
	b := newBoard()
	s := b.run()
	wantWrites(t, b, 1)
	hour := func() {
		for range 720 {
			b.up += 5 * time.Second
			s.Look()
		}
	}
	hour()
	wantWrites(t, b, 1)
	b.knows = true
	hour()
	wantWrites(t, b, 2)
	for range 24 {
		hour()
	}
	wantWrites(t, b, 3)
	s.Stop()
	wantWrites(t, b, 4)
}

func TestCardThatTakesNoWrites(t *testing.T) {
	b := newBoard()
	b.knows, b.card.broken = true, true
	s := b.run()
	if got := s.Of("b1"); !got.At.Equal(b.start) {
		t.Errorf("the card holds it up: %+v", got)
	}
	b.card.broken = false
	s.Look()
	s.Look()
	wantWrites(t, b, 1)
}

func TestMemoryIsBounded(t *testing.T) {
	b := newBoard()
	for i := range 1000 {
		b.reboot(fmt.Sprintf("01234567-89ab-cdef-0123-%012d", i), time.Hour)
		b.run()
	}
	if b.card.writes != 1000 {
		t.Errorf("%d boots were saved, want 1000", b.card.writes)
	}
	b.knows = true
	s := b.run()
	if got := s.Of("01234567-89ab-cdef-0123-000000000000"); got != (dating.Start{}) {
		t.Errorf("the oldest boot is remembered: %+v", got)
	}
	if got := s.Of("01234567-89ab-cdef-0123-000000000950"); !got.Before.Equal(b.start) {
		t.Errorf("a late boot is forgotten: %+v", got)
	}
}

func TestDamagedMemoryBeginsAnew(t *testing.T) {
	b := newBoard()
	b.card.data = []byte(`{"boots":[{"id":7}]`)
	b.knows = true
	if got := b.run().Of("b1"); !got.At.Equal(b.start) {
		t.Errorf("%+v, want %v", got, b.start)
	}
}

// TestWrongTimeDoesNotStay: a boot that was dated decades ahead does not spoil the
// bounds of all that follow.
func TestWrongTimeDoesNotStay(t *testing.T) {
	b := newBoard()
	b.knows, b.off = true, 20*365*24*time.Hour
	b.run()
	b.reboot("b2", time.Hour)
	b.knows = true
	b.run()
	known := b.now()
	b.reboot("b3", time.Hour)
	if got := b.run().Of("b3"); !got.After.Equal(known) {
		t.Errorf("%+v, want after %v", got, known)
	}
}
