package storeforward

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// TestWearIsMeasured: what the card really takes is the kernel's own figure.
func TestWearIsMeasured(t *testing.T) {
	q := mustOpen(t, testOptions(t.TempDir()))
	for range 20 {
		mustAppend(t, q, msg(gateway.LaneTelemetry, noise(100_000)))
	}
	s := q.Stats()
	if s.BytesAccepted != 2_000_000 {
		t.Errorf("%d bytes accepted, want 2,000,000", s.BytesAccepted)
	}
	if s.DeviceBytes != 0 && (s.DeviceBytes < 2_000_000 || s.DeviceBytes > 20_000_000) { // 0 in tmpfs
		t.Errorf("%d bytes written to storage", s.DeviceBytes)
	}
}

// TestTheLifeOfTheCardIsEstimated from what was written in the life of the
// store and the rate of now.
func TestTheLifeOfTheCardIsEstimated(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	o.CardBytes = 1 << 40
	q := mustOpen(t, o)
	if s := q.Stats(); s.CardYears != 0 {
		t.Errorf("%f years after no time at all", s.CardYears)
	}
	const day = 24 * time.Hour
	for _, c := range []struct {
		ever, recent uint64
		run          time.Duration
		want         float64
	}{
		{1 << 39, 1 << 30, day, 512 / 365.25}, {0, 1 << 40, 365 * day, 1}, {1 << 41, 1, day, 0}, {0, 0, day, 0},
	} {
		q.opened = time.Now().Add(-c.run)
		if got := q.cardYears(c.ever, c.recent); got < c.want*0.99 || got > c.want*1.01 {
			t.Errorf("%+v: %f years", c, got)
		}
	}
}

// TestWrittenEverGoesOn across restarts.
func TestWrittenEverGoesOn(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	q := mustOpen(t, o)
	mustAppend(t, q, msg(gateway.LaneTelemetry, noise(200_000)))
	mustClose(t, q)
	first := q.Stats()
	if first.DeviceBytes == 0 {
		t.Skip("the kernel does not tell what is written here")
	}
	q = mustOpen(t, o)
	if s := q.Stats(); s.WrittenEver < 200_000 || s.WrittenEver > first.WrittenEver+s.DeviceBytes {
		t.Errorf("%d bytes ever, %d in the first run", s.WrittenEver, first.DeviceBytes)
	}
}
