package storeforward

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestExpiredMessagesBecomeOneGap(t *testing.T) {
	o := testOptions(t.TempDir())
	clock := newClock()
	o.Clock = clock
	o.Lanes = map[gateway.Lane]LaneOptions{"telemetry": {TTL: time.Hour}}
	q := mustOpen(t, o)
	mustAppend(t, q, msg("telemetry", "1"), msg("telemetry", "2"))
	clock.add(59 * time.Minute)
	mustAppend(t, q, msg("telemetry", "3"))
	clock.add(2 * time.Minute)
	if m := mustNext(t, q); string(m.Body) != "3" {
		t.Fatalf("got %s, want 3", m.Body)
	}
	if g := toldGaps(t, q); len(g) != 1 || g[0].First != 1 || g[0].Last != 2 || g[0].Reason != gateway.GapExpired {
		t.Errorf("gaps %+v", g)
	}
}

// ttlStore opens a store with a TTL of an hour, with one message in it.
func ttlStore(t *testing.T, clock *testClock) (*Queue, Options) {
	t.Helper()
	o := testOptions(t.TempDir())
	o.Clock = clock
	o.Lanes = map[gateway.Lane]LaneOptions{"telemetry": {TTL: time.Hour}}
	q := mustOpen(t, o)
	mustAppend(t, q, msg("telemetry", "kept"))
	return q, o
}

func wantKept(t *testing.T, q *Queue) {
	t.Helper()
	q.Rewind()
	if m := mustNext(t, q); string(m.Body) != "kept" {
		t.Errorf("got %s, want the message that is not yet old", m.Body)
	}
}

// TestAStepOfTheClockExpiresNothing, by ten years either way, while the store
// is open or not.
func TestAStepOfTheClockExpiresNothing(t *testing.T) {
	const tenYears = 10 * 365 * 24 * time.Hour
	for _, step := range []time.Duration{tenYears, -tenYears} {
		clock := newClock()
		q, o := ttlStore(t, clock)
		clock.step(step)
		clock.add(59 * time.Minute)
		wantKept(t, q)
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		wantKept(t, mustOpen(t, o)) // within the boot
		clock = newClock()
		q, o = ttlStore(t, clock)
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		clock.reboot(time.Minute)
		clock.step(step)
		wantKept(t, mustOpen(t, o))
	}
}

// TestNothingExpiresWhileTheClockIsUntrusted, nor because it comes right.
func TestNothingExpiresWhileTheClockIsUntrusted(t *testing.T) {
	clock := &testClock{now: time.Unix(0, 0), uptime: time.Minute, boot: "b1", untrusted: true}
	q, _ := ttlStore(t, clock)
	clock.mu.Lock()
	clock.now, clock.untrusted = newClock().now, false
	clock.mu.Unlock()
	wantKept(t, q)
}

// TestExpiryWithoutATrustedClock: what a boot has seen itself it knows.
func TestExpiryWithoutATrustedClock(t *testing.T) {
	clock := &testClock{now: time.Unix(0, 0), uptime: time.Minute, boot: "b1", untrusted: true}
	q, _ := ttlStore(t, clock)
	clock.add(61 * time.Minute)
	mustAppend(t, q, msg("telemetry", "new"))
	if m := mustNext(t, q); string(m.Body) != "new" {
		t.Errorf("got %s, want new", m.Body)
	}
}

// TestExpiryAcrossBoots goes by the trusted clock.
func TestExpiryAcrossBoots(t *testing.T) {
	clock := newClock()
	q, o := ttlStore(t, clock)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	clock.reboot(61 * time.Minute)
	q = mustOpen(t, o)
	mustAppend(t, q, msg("telemetry", "new"))
	if m := mustNext(t, q); string(m.Body) != "new" {
		t.Errorf("got %s, want new", m.Body)
	}
}

// TestNothingIsTakenForOlderThanItIs, however the clock is stepped, trusted or
// not, whenever the board starts again. Only a clock that is wrong and trusted
// when the board starts can mislead, and by no more than is believed.
func TestNothingIsTakenForOlderThanItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := newClock()
		a := newAges(clock)
		var age time.Duration // of s
		s := a.stamp()
		wrong := false
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			d := time.Duration(rapid.Int64Range(0, int64(100*time.Hour)).Draw(t, "d"))
			switch rapid.SampledFrom([]string{"wait", "step", "untrust", "trust", "restart", "reboot"}).Draw(t, "step") {
			case "wait":
				clock.add(d)
				age += d
			case "step":
				clock.step(time.Duration(rapid.Int64Range(-int64(doubtful), int64(doubtful)).Draw(t, "by")))
				wrong = true
			case "untrust":
				clock.untrusted = true
			case "trust":
				clock.untrusted = false
			case "restart":
				a = newAges(clock)
				a.saw(s)
			case "reboot":
				clock.reboot(d)
				age += d
				a = newAges(clock)
				a.saw(s)
			}
			of := a.of(s)
			if limit := age; of > limit && (!wrong || s.boot == a.boot || of > doubtful+age) {
				t.Fatalf("%v old, taken for %v", age, of)
			}
		}
	})
}
