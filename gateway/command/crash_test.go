package command_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fieldpost/fieldpost/gateway"
)

// life is one run of the gateway: what its sender delivers, and the step at
// which the power fails.
type life struct {
	deliveries []gateway.Command
	crashAt    int // 0: stopped in order, at once or when all is done
	late       bool
	hasty      bool
	// cancels are commands that somebody cancels while they are under way.
	cancels []string
	years   int  // by which the clock is stepped when it begins
	blind   bool // the clock is not trusted for its first minute
}

func drawLife(t *rapid.T, i int) life {
	l := life{
		crashAt: rapid.IntRange(0, 24).Draw(t, fmt.Sprint("crashAt", i)),
		late:    rapid.Bool().Draw(t, fmt.Sprint("late", i)),
		hasty:   rapid.Bool().Draw(t, fmt.Sprint("hasty", i)),
	}
	n := rapid.IntRange(0, 8).Draw(t, fmt.Sprint("deliveries", i))
	for range n {
		k := rapid.IntRange(0, 15).Draw(t, "command")
		l.deliveries = append(l.deliveries, numbered(k))
		if rapid.IntRange(0, 3).Draw(t, "cancelled") == 0 {
			l.cancels = append(l.cancels, numbered(k).ID)
		}
	}
	l.years = rapid.IntRange(-30, 30).Draw(t, fmt.Sprint("years", i))
	l.blind = rapid.Bool().Draw(t, fmt.Sprint("blind", i))
	return l
}

// numbered is the same command for the same number, so that a number drawn
// twice is a duplicate.
func numbered(k int) gateway.Command {
	cmd := gateway.Command{ID: fmt.Sprint("c", k), Device: "pump", Action: "pulse", Origin: gateway.OriginC2D}
	if k%2 == 1 {
		cmd.Action = "set"
	}
	switch k % 5 {
	case 3:
		cmd.Device = "fan"
	case 4:
		cmd.Expires = time.Date(2000, 1, 1, 0, 0, 5+k, 0, time.UTC)
	}
	if k == 15 {
		cmd.Device = "nobody"
	}
	return cmd
}

// world is what outlives the crashes: the disk, the devices, the sender.
type world struct {
	*rig
	unacked []gateway.Command
	acked   map[string]bool
	// acts are the executions that moved something, by command.
	acts  map[string]int
	order []string // of first executions
}

// TestEveryCommandEndsOnce: whatever the sender repeats, whoever cancels, however
// the clock is stepped and wherever the power fails, each command reaches one final state, is reported once, and is
// carried out at most once unless it is idempotent.
func TestEveryCommandEndsOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var lives []life
		for i := range rapid.IntRange(1, 4).Draw(rt, "lives") {
			lives = append(lives, drawLife(rt, i))
		}
		var faults []string
		synctest.Test(t, func(t *testing.T) { faults = liveAll(t, lives) })
		for _, f := range faults {
			rt.Error(f)
		}
	})
}

func liveAll(t *testing.T, lives []life) []string {
	w := &world{rig: newRig(t), acked: map[string]bool{}, acts: map[string]int{}}
	w.pump.act, w.fan.act = w.act, w.act
	for _, l := range lives {
		w.live(l)
	}
	w.live(life{}) // in the end, the power stays
	return w.faults()
}

// act takes time before and after something moves, and the power can fail at
// either moment.
func (w *world) act(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	if err := pause(ctx); err != nil {
		return nil, err
	}
	if err := w.disk.mark(); err != nil {
		return nil, err
	}
	w.disk.mu.Lock()
	if w.acts[cmd.ID]++; w.acts[cmd.ID] == 1 {
		w.order = append(w.order, cmd.ID)
	}
	w.disk.mu.Unlock()
	if err := pause(ctx); err != nil {
		return nil, err
	}
	return nil, w.disk.mark()
}

func pause(ctx context.Context) error {
	select {
	case <-time.After(time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *world) live(l life) {
	ctx, crash := context.WithCancel(context.Background())
	defer crash()
	w.assemble()
	w.clock.step(time.Duration(l.years) * 365 * 24 * time.Hour)
	w.clock.untrusted = true
	if w.clock.trusted.Store(!l.blind); l.blind {
		defer time.AfterFunc(time.Minute, w.clock.trust).Stop()
	}
	w.disk.power(l.crashAt, l.late, crash)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	deliveries := append(w.unacked, l.deliveries...)
	w.unacked = nil
	for _, cmd := range deliveries {
		if w.inbox.Accept(ctx, cmd) == nil {
			w.acked[cmd.ID] = true
		} else {
			w.unacked = append(w.unacked, cmd)
		}
	}
	for _, id := range l.cancels {
		time.Sleep(time.Second)
		impatient, cancel := context.WithTimeout(ctx, time.Second)
		_, _ = w.Cancel(impatient, id, "operator") // it may have ended, or the power is gone
		cancel()
	}
	if !l.hasty {
		for range 3000 {
			if synctest.Wait(); ctx.Err() != nil || w.idle() {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	crash()
	if err := <-ended; err != nil {
		w.t.Errorf("Run: %v", err)
	}
}

func (w *world) idle() bool {
	w.disk.mu.Lock()
	defer w.disk.mu.Unlock()
	return !slices.ContainsFunc(w.disk.entries, func(e *gateway.Entry) bool { return e.Result == nil })
}

func (w *world) faults() (list []string) {
	fault := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	reports := map[string]int{}
	for _, r := range w.disk.results() {
		if !r.Repeated {
			reports[r.CommandID]++
		}
	}
	for id := range w.acked {
		if w.disk.held(id) == nil {
			fault("%s: acknowledged and not in the journal", id)
		}
	}
	if len(w.unacked) > 0 {
		fault("%d commands not accepted although the power stayed", len(w.unacked))
	}
	journal := map[string][]string{} // by device, in the order of acceptance
	for _, e := range w.disk.entries {
		id, acts := e.Command.ID, w.acts[e.Command.ID]
		if e.Result == nil {
			fault("%s: no final state", id)
			continue
		}
		if reports[id] != 1 {
			fault("%s: reported %d times", id, reports[id])
		}
		idempotent := e.Command.Action == "set"
		switch status := e.Result.Status; {
		case !idempotent && acts > 1:
			fault("%s: executed %d times", id, acts)
		case status == gateway.StatusDone && acts == 0:
			fault("%s: done, but not executed", id)
		case (status == gateway.StatusDenied || status == gateway.StatusExpired) && acts > 0:
			fault("%s: %s, but executed", id, status)
		case status == gateway.StatusUnknownOutcome && idempotent && e.Command.Expires.IsZero() && !strings.Contains(e.Result.Detail, "cancelled by operator"):
			fault("%s: could have been repeated", id)
		case status == gateway.StatusFailed && !strings.Contains(e.Result.Detail, "cancelled by operator"):
			fault("%s: %s: %s", id, status, e.Result.Detail)
		}
		if acts > 0 {
			journal[string(e.Command.Device)] = append(journal[string(e.Command.Device)], id)
		}
	}
	for device, want := range journal {
		got := slices.DeleteFunc(slices.Clone(w.order), func(id string) bool { return !slices.Contains(want, id) })
		if !slices.Equal(got, want) {
			fault("%s: executed in the order %v, accepted as %v", device, got, want)
		}
	}
	return list
}
