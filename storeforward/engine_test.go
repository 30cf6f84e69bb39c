package storeforward

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// TestASyncThatFailsConfirmsNothing, and loses nothing: what it left on disk is
// disowned, the engine is opened again, and numbers are not used twice.
func TestASyncThatFailsConfirmsNothing(t *testing.T) {
	o, broken := onDiskThatFails(t)
	q := mustOpen(t, o)
	var confirmed []gateway.MessageID
	add := func(body string) error {
		ids, err := q.Append(t.Context(), msg(gateway.LaneTelemetry, body), msg(gateway.LaneAlerts, body))
		if err == nil {
			confirmed = append(confirmed, ids[0])
		}
		return err
	}
	for round := range 5 {
		if err := add(fmt.Sprintf("good %d", round)); err != nil {
			t.Fatal(err)
		}
		broken.Store(true)
		for range 3 {
			if err := add("bad"); !errors.Is(err, unix.EIO) {
				t.Fatalf("%v, want EIO", err)
			}
		}
		if p := q.Stats().Problem; !strings.Contains(p, "input/output error") {
			t.Errorf("problem %q", p)
		}
		broken.Store(false)
	}
	if err := add("good 5"); err != nil {
		t.Fatal(err)
	}
	if s := q.Stats(); s.Problem != "" || s.Failures < 15 {
		t.Errorf("problem %q remains; %d transactions count as failed", s.Problem, s.Failures)
	}
	mustClose(t, q)
	q = mustOpen(t, o)
	for i, id := range confirmed {
		if want := uint64(i + 1); id.Seq != want {
			t.Errorf("confirmed %s, want %d: the failed ones never were", id, want)
		}
		if m := mustNextOf(t, q, gateway.LaneTelemetry); m.ID != id || string(m.Body) != fmt.Sprintf("good %d", i) {
			t.Errorf("%s holds %s, want %s", m.ID, m.Body, id)
		}
	}
	for _, g := range toldGaps(t, q) {
		t.Errorf("gap %+v", g)
	}
	if s := laneStats(t, q, gateway.LaneTelemetry); s.Next != uint64(len(confirmed)+1) {
		t.Errorf("lane %+v", s)
	}
}

// TestNothingIsWrittenWhenIdle: not a transaction, not a byte.
func TestNothingIsWrittenWhenIdle(t *testing.T) {
	q := mustOpen(t, testOptions(filepath.Join(t.TempDir(), "queue")))
	mustAppend(t, q, msg(gateway.LaneTelemetry, "x"))
	ticks := func() uint64 { return q.ticks.Load() }
	pass := func(n uint64) {
		until := ticks() + n
		waitFor(t, func() bool { return ticks() >= until })
	}
	pass(2)
	commits, before := q.Stats().Commits, fileTimes(t, q.opts.Dir)
	pass(3)
	if n := q.Stats().Commits - commits; n > 0 {
		t.Errorf("%d commits while idle", n)
	}
	if after := fileTimes(t, q.opts.Dir); !maps.Equal(before, after) {
		t.Errorf("written while idle: before %v, after %v", before, after)
	}
}

// fileTimes tells when each file of a store was last written.
func fileTimes(t *testing.T, dir string) map[string]time.Time {
	t.Helper()
	files, err := filepath.Glob(dir + "*/*")
	if err != nil {
		t.Fatal(err)
	}
	times := make(map[string]time.Time)
	for _, file := range append(files, witnessPath(dir)) {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		times[file] = info.ModTime()
	}
	return times
}
