package storeforward

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// TestTheOldestMessageHasAnAge, over restarts and reboots, and as messages leave.
func TestTheOldestMessageHasAnAge(t *testing.T) {
	o := testOptions(t.TempDir())
	clock := newClock()
	o.Clock = clock
	q := mustOpen(t, o)
	want := func(age time.Duration) {
		t.Helper()
		if got := laneStats(t, q, "telemetry").OldestAge; got != age.Seconds() {
			t.Errorf("the oldest has waited %v s, want %v", got, age)
		}
	}
	want(0)
	ids := mustAppend(t, q, msg("telemetry", "1"))
	clock.add(time.Minute)
	ids = append(ids, mustAppend(t, q, msg("telemetry", "2"), msg("telemetry", "3"))...)
	clock.add(time.Minute)
	want(2 * time.Minute)
	mustClose(t, q)
	clock.reboot(time.Hour)
	q = mustOpen(t, o)
	want(time.Hour + 2*time.Minute)
	mustAppend(t, q, msg("telemetry", "4"))
	for range ids {
		mustNext(t, q)
	}
	for _, id := range ids[1:] { // out of order
		if err := q.Ack(id); err != nil {
			t.Fatal(err)
		}
	}
	want(time.Hour + 2*time.Minute)
	if err := q.Ack(ids[0]); err != nil {
		t.Fatal(err)
	}
	clock.add(time.Second)
	want(time.Second)
	if _, err := q.Purge(t.Context(), "telemetry"); err != nil {
		t.Fatal(err)
	}
	want(0)
}

// TestTheAgeOfALongBacklog is exact as long as nothing leaves, and then never too high and
// little too low, however much comes.
func TestTheAgeOfALongBacklog(t *testing.T) {
	o := testOptions(t.TempDir())
	clock := newClock()
	o.Clock = clock
	q := mustOpen(t, o)
	const messages = 5 * maxArrivals
	for i := range messages {
		mustAppend(t, q, msg("alerts", fmt.Sprint(i)))
		clock.add(time.Second)
	}
	for i := range messages {
		age := time.Duration(laneStats(t, q, "alerts").OldestAge) * time.Second
		if truth := time.Duration(messages-i) * time.Second; age > truth || i == 0 && age < truth || age < truth-messages/maxArrivals*4*time.Second {
			t.Fatalf("message %d has waited %v, not %v", i, truth, age)
		}
		if err := q.Ack(mustNext(t, q).ID); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(q.own["alerts"].arrivals); n > maxArrivals {
		t.Errorf("%d arrivals are remembered", n)
	}
}

// TestLossesAreCountedByReason, and are as many as all.
func TestLossesAreCountedByReason(t *testing.T) {
	o := testOptions(t.TempDir())
	clock := newClock()
	o.Clock = clock
	o.Lanes = map[gateway.Lane]LaneOptions{"telemetry": {TTL: time.Hour, MaxMessages: 4, Overflow: DropOldest}}
	q := mustOpen(t, o)
	for i := range 6 { // two too many
		mustAppend(t, q, msg("telemetry", fmt.Sprint(i)))
	}
	if err := q.Reject(t.Context(), mustNextOf(t, q, "telemetry").ID, "no"); err != nil {
		t.Fatal(err)
	}
	clock.add(2 * time.Hour)
	mustAppend(t, q, msg("telemetry", "6"))
	if m := mustNextOf(t, q, "telemetry"); string(m.Body) != "6" { // three have expired
		t.Fatalf("got %s", m.Body)
	}
	for _, lane := range []gateway.Lane{"telemetry", gateway.LaneDeadLetter} {
		if _, err := q.Purge(t.Context(), lane); err != nil {
			t.Fatal(err)
		}
	}
	for lane, want := range map[gateway.Lane]map[gateway.GapReason]uint64{
		"telemetry":            {gateway.GapOverflow: 2, gateway.GapRejected: 1, gateway.GapExpired: 3, gateway.GapPurged: 1},
		gateway.LaneDeadLetter: {Removed: 1},
	} {
		s := laneStats(t, q, lane)
		if !maps.Equal(s.LostBy, want) || s.Lost != s.Accepted {
			t.Errorf("lane %s: %d accepted, %d lost: %v, want %v", lane, s.Accepted, s.Lost, s.LostBy, want)
		}
	}
}
