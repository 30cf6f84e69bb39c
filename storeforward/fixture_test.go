package storeforward

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// testClock stands where it is put.
type testClock struct {
	mu        sync.Mutex
	now       time.Time
	uptime    time.Duration
	boot      string
	untrusted bool
}

func (c *testClock) Uptime() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.uptime
}

func (c *testClock) Boot() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.boot
}

// step sets the wall clock only.
func (c *testClock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// reboot begins anew, some time later.
func (c *testClock) reboot(later time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(later)
	c.uptime = 10 * time.Second
	c.boot += "'"
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) Trusted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.untrusted
}

func (c *testClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.uptime += d
}

func newClock() *testClock {
	return &testClock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), uptime: time.Hour, boot: "b1"}
}

func testOptions(dir string) Options {
	o := Defaults(dir)
	o.Clock = newClock()
	o.CommitAge = 0
	o.MinFree = MinMinFree
	return o
}

// onDiskThatFails are the options of a store whose disk takes nothing while broken is
// true.
func onDiskThatFails(t testing.TB) (o Options, broken *atomic.Bool) {
	o, broken = testOptions(filepath.Join(t.TempDir(), "queue")), new(atomic.Bool)
	o.datasync = func(fd int) error {
		if broken.Load() {
			return unix.EIO
		}
		return unix.Fdatasync(fd)
	}
	return o, broken
}

func mustOpen(t testing.TB, o Options) *Queue {
	t.Helper()
	q, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

func msg(lane gateway.Lane, body string) gateway.Message {
	return gateway.Message{
		ID: gateway.MessageID{Lane: lane}, Kind: gateway.KindTelemetry, ContentType: "application/json",
		Created: time.Date(2026, 11, 24, 11, 59, 0, 123000, time.UTC), Body: []byte(body),
	}
}

func mustAppend(t testing.TB, q *Queue, msgs ...gateway.Message) []gateway.MessageID {
	t.Helper()
	ids, err := q.Append(t.Context(), msgs...)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func mustNext(t testing.TB, q *Queue) gateway.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	m, err := q.Next(ctx)
	if err != nil {
		t.Fatalf("next: %v", err)
	}
	return m
}

// mustNextOf passes over what other lanes have.
func mustNextOf(t testing.TB, q *Queue, lane gateway.Lane) gateway.Message {
	t.Helper()
	for {
		if m := mustNext(t, q); m.ID.Lane == lane {
			return m
		}
	}
}

func wantEmpty(t testing.TB, q *Queue) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if m, err := q.Next(ctx); err == nil {
		t.Fatalf("next gave %s, want nothing", m.ID)
	}
}

func tableBytes(t testing.TB, dir string) (sum int64) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tables {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}

func laneStats(t testing.TB, q *Queue, name gateway.Lane) LaneStats {
	t.Helper()
	for _, l := range q.Stats().Lanes {
		if l.Lane == name {
			return l
		}
	}
	t.Fatalf("no lane %s", name)
	return LaneStats{}
}

// toldGaps waits until all losses are told and lists the gap records.
func toldGaps(t testing.TB, q *Queue) (list []gateway.Gap) {
	t.Helper()
	untold := func() bool {
		return slices.ContainsFunc(q.Stats().Lanes, func(l LaneStats) bool { return l.Gap != nil })
	}
	for deadline := time.Now().Add(20 * time.Second); untold(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("losses are not told")
		}
	}
	messages, err := q.List(gateway.LaneGaps, 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		list = append(list, decodeGap(t, m))
	}
	return list
}

func decodeGap(t testing.TB, m gateway.Message) gateway.Gap {
	t.Helper()
	if m.Kind != gateway.KindGap {
		t.Fatalf("%s is of kind %s, want a gap record", m.ID, m.Kind)
	}
	var g gateway.Gap
	if err := json.Unmarshal(m.Body, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// noise is a body that does not shrink.
func noise(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return string(b)
}

// fill appends messages of 1 kB to a lane until the store says no or n are in.
func fill(t testing.TB, q *Queue, lane gateway.Lane, n int) (accepted int, err error) {
	t.Helper()
	for accepted < n {
		batch := make([]gateway.Message, 200)
		for i := range batch {
			batch[i] = msg(lane, noise(1000))
		}
		if _, err := q.Append(t.Context(), batch...); err != nil {
			return accepted, err
		}
		accepted += len(batch)
	}
	return accepted, nil
}

// waitFor waits until a condition holds.
func waitFor(t testing.TB, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the condition does not come to hold")
		}
	}
}
