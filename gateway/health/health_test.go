package health_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway/health"
)

func newBoard() (*health.Board, *bytes.Buffer) {
	var logs bytes.Buffer
	return health.NewBoard(slog.New(slog.NewTextHandler(&logs, nil))), &logs
}

// TestOneLineForEachChange: a condition that is restated is not news.
func TestOneLineForEachChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, logs := newBoard()
		b.Clear("disk") // nothing to clear, nothing to say
		b.Raise("disk", health.Error, "full")
		since := time.Now()
		time.Sleep(time.Minute)
		b.Raise("disk", health.Error, "full")
		b.Raise("disk", health.Error, "fuller")
		b.Raise("air", health.Warning, "silent")
		list := b.Conditions()
		if len(list) != 2 || list[0].Code != "air" || list[1].Code != "disk" || list[1].Summary != "fuller" || !list[1].Since.Equal(since) {
			t.Errorf("conditions %+v", list)
		}
		b.Clear("disk")
		b.Clear("disk")
		lines := strings.Split(strings.TrimSpace(logs.String()), "\n")
		wants := []string{"level=ERROR", "summary=fuller", "level=WARN", "lasted=1m0s"}
		if len(lines) != len(wants) {
			t.Fatalf("%d lines, want %d:\n%s", len(lines), len(wants), logs)
		}
		for i, want := range wants {
			if !strings.Contains(lines[i], want) {
				t.Errorf("line %d: %s, want %s in it", i, lines[i], want)
			}
		}
	})
}

// TestRestated: the condition is up to date, and the log hears of it later.
func TestRestated(t *testing.T) {
	b, logs := newBoard()
	b.Restate("air", "nothing stands")
	b.Raise("air", health.Warning, "silent")
	b.Restate("air", "noisy")
	if list := b.Conditions(); len(list) != 1 || list[0].Summary != "noisy" || list[0].Severity != health.Warning {
		t.Errorf("conditions %+v", list)
	}
	for range 2 {
		if n := strings.Count(logs.String(), "noisy"); n != 0 {
			t.Errorf("logged %d times before it is raised", n)
		}
		b.Raise("air", health.Warning, "silent") // as it is in the log
	}
	b.Restate("air", "noisy")
	b.Raise("air", health.Warning, "noisy")
	b.Clear("air")
	b.Raise("air", health.Warning, "noisy")
	if n := strings.Count(logs.String(), "noisy"); n != 2 {
		t.Errorf("logged %d times, want 2:\n%s", n, logs)
	}
}

// TestHeartsThatStop are named, and only those.
func TestHeartsThatStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBoard()
		steady, slow := b.Heart("steady", time.Minute), b.Heart("slow", time.Hour)
		stuck, gone := b.Heart("stuck", time.Minute), b.Heart("gone", time.Minute)
		b.Remove(gone)
		for range 4 {
			time.Sleep(30 * time.Second)
			steady.Beat()
		}
		if got := b.Stuck(); !slices.Equal(got, []string{"stuck"}) {
			t.Errorf("stuck: %v", got)
		}
		stuck.Beat()
		if got := b.Stuck(); len(got) != 0 {
			t.Errorf("after a beat: %v", got)
		}
		again := b.Heart("slow", time.Minute) // a worker that was started anew
		b.Remove(slow)                        // the old one cannot take it off
		time.Sleep(2 * time.Minute)
		if got := b.Stuck(); !slices.Contains(got, "slow") {
			t.Errorf("stuck: %v, want slow among them", got)
		}
		b.Remove(again)
	})
}

// TestPartsHaveConditionsOfTheirOwn on one board.
func TestPartsHaveConditionsOfTheirOwn(t *testing.T) {
	b, _ := newBoard()
	part := b.Of("node7")
	b.Raise("offline", health.Warning, "no link")
	part.Raise("offline", health.Warning, "no link either")
	heart := part.Heart("uplink", -1)
	if got := b.Stuck(); !slices.Equal(got, []string{"uplink:node7"}) {
		t.Errorf("stuck: %v", got)
	}
	b.Remove(heart)
	if got := part.Stuck(); len(got) != 0 {
		t.Errorf("stuck: %v", got)
	}
	b.Clear("offline")
	if list := b.Conditions(); len(list) != 1 || list[0].Code != "offline:node7" {
		t.Errorf("conditions %+v", list)
	}
	part.Clear("offline")
	if list := part.Conditions(); len(list) != 0 {
		t.Errorf("conditions %+v", list)
	}
}
