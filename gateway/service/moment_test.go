package service

import (
	"log/slog"
	"testing"
	"time"
	"unsafe"

	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/scene"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// before is a moment at which the wall clock was so much behind what it would be
// set to later. Package time has no way to make one: seconds on the wall are
// above 30 bits of nanoseconds.
func before(t time.Time, behind time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) -= uint64(behind/time.Second) << 30
	return t
}

// TestMomentsAfterTheClockWasSet: how long something lasts is told by the clock
// that is never corrected.
func TestMomentsAfterTheClockWasSet(t *testing.T) {
	for _, behind := range []time.Duration{0, 3 * 24 * time.Hour, 20 * 365 * 24 * time.Hour} {
		now := time.Now()
		begun := before(now.Add(-time.Minute), behind)
		if got := begun.Round(0).Sub(now.Round(0)); got != -time.Minute-behind {
			t.Fatalf("the wall clock of the test is off: %v", got)
		}
		if got := now.Round(0).Sub(moment(begun, now).Round(0)); got != time.Minute {
			t.Errorf("%v behind: it lasts for %v, want a minute", behind, got)
		}
	}
	now := time.Now()
	other := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	if got := moment(other, now); !got.Equal(other) {
		t.Errorf("a time of another run became %v", got)
	}
	if !moment(time.Time{}, now).IsZero() {
		t.Error("never has become a moment")
	}
}

// TestTheTwinTellsWhenItReallyBegan, after a start with the time of the last
// shutdown.
func TestTheTwinTellsWhenItReallyBegan(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	s := &Service{id: "gw", log: log, health: health.NewBoard(log), started: before(time.Now(), 3*24*time.Hour)}
	s.current.Store(&assembly{config: &Loaded{}, control: &control{scenes: new(scene.Set)}})
	s.remote = newRemote(remoteOptions{CA: mqtt.NewReplacement(), Health: s.health, Log: log})
	s.wanted = newWanted(wantedOptions{Log: s.log})
	told := twin{s}.state().Gateway.Started
	if off := time.Since(told).Abs(); off > time.Hour {
		t.Errorf("started %v, which is off by %v", told, off)
	}
}
