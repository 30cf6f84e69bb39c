package scene_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/scene"
)

// life is one run of the gateway: the step on the disk at which the power fails, how
// long it is away then, and what the tank holds after that.
type life struct {
	crashAt int
	late    bool
	away    time.Duration
	level   float64
	reboot  bool // the board is started anew before the next run
}

func drawStep(t *rapid.T) scene.StepConfig {
	if rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
		return pause(time.Duration(rapid.IntRange(1, 9).Draw(t, "wait")) * time.Second)
	}
	s := do(string(rapid.SampledFrom(machines).Draw(t, "device")), rapid.SampledFrom([]string{"set", "pulse", "pulse", "fail"}).Draw(t, "action"))
	s.OnFailure = rapid.SampledFrom([]string{"stop", "continue", "undo"}).Draw(t, "on_failure")
	if rapid.Bool().Draw(t, "undo") {
		s.Undo = &scene.UndoConfig{Action: "pulse"}
	}
	if rapid.Bool().Draw(t, "only_if") {
		s.OnlyIf = "tank.level > 20"
	}
	return s
}

// TestNoStepTwice: wherever the power fails, a scene has one final state, no step is
// carried out twice unless it is idempotent, none out of its turn, and none after the
// time of the scene.
func TestNoStepTwice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := steps(rapid.SliceOfN(rapid.Custom(drawStep), 1, 6).Draw(rt, "steps")...)
		lives := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) life {
			return life{
				rapid.IntRange(1, 30).Draw(t, "crashAt"), rapid.Bool().Draw(t, "late"),
				time.Duration(rapid.IntRange(0, 50).Draw(t, "away")) * time.Second, float64(rapid.IntRange(0, 1).Draw(t, "level") * 40), rapid.Bool().Draw(t, "reboot"),
			}
		}), 0, 4).Draw(rt, "lives")
		var faults []string
		synctest.Test(t, func(t *testing.T) { faults = liveAll(t, c, lives) })
		for _, f := range faults {
			rt.Error(f)
		}
	})
}

func liveAll(t *testing.T, c scene.Config, lives []life) []string {
	r := newRig(t)
	began := time.Now()
	taken := false
	for _, l := range append(lives, life{level: 40}) {
		r.disk.crashAt, r.disk.crashLate = l.crashAt, l.late
		r.board.Put(gateway.Reading{Device: "tank", Name: "level", Value: gateway.Number(l.level)})
		r.start(c)
		cmd := gateway.Command{ID: "x", Device: "night", Action: "run", Received: r.clock.Now()}
		if !taken {
			began = time.Now()
		}
		if r.inbox.Accept(t.Context(), cmd) == nil {
			taken = true
			r.result("x")
		}
		r.halt()
		time.Sleep(l.away)
		if l.reboot {
			r.clock.reboot()
		}
	}
	return r.faults(c, began)
}

// faults judges what is on the disk and what was done.
func (r *rig) faults(c scene.Config, began time.Time) (list []string) {
	fault := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	whole, _ := r.disk.entry("x")
	if whole.Result == nil {
		return []string{"no final state"}
	}
	acts := make(map[string]int)
	var order []string
	for _, d := range r.deeds {
		e, _ := r.disk.entry(d.id)
		if acts[d.id]++; acts[d.id] > 1 && e.Command.Action == "pulse" {
			fault("%s was carried out twice", d.id)
		}
		if acts[d.id] == 1 {
			order = append(order, d.id)
		}
		limit := time.Minute
		if strings.HasSuffix(d.id, "/undo") {
			limit = 2 * time.Minute
		}
		if late := d.at.Sub(began) - limit; late > time.Second {
			fault("%s was carried out %v after its time", d.id, late)
		}
	}
	sorted := slices.Clone(order)
	slices.SortFunc(sorted, inTurn)
	if !slices.Equal(order, sorted) {
		fault("carried out in the order %v", order)
	}
	for _, e := range r.disk.entries {
		if e.Result == nil {
			fault("%s has no final state", e.Command.ID)
		}
	}
	return append(list, r.disagreements(c, whole.Result, acts)...)
}

// inTurn orders the ids of steps: x/1, x/2, then x/2/undo, x/1/undo.
func inTurn(a, b string) int {
	stepA, undoA := strings.CutSuffix(a, "/undo")
	stepB, undoB := strings.CutSuffix(b, "/undo")
	switch {
	case undoA && undoB:
		return strings.Compare(stepB, stepA)
	case undoA:
		return 1
	case undoB:
		return -1
	}
	return strings.Compare(stepA, stepB)
}

// disagreements of the result with what was done.
func (r *rig) disagreements(c scene.Config, result *gateway.Result, acts map[string]int) (list []string) {
	told := parts(r.t, result, "steps")
	if told == nil { // it was not gone on with
		if result.Status == gateway.StatusDone {
			list = append(list, "done without steps")
		}
		return list
	}
	var failed bool
	for i, p := range told {
		id := fmt.Sprint("x/", p.Step)
		if p.Undo {
			id += "/undo"
		}
		switch {
		case p.Status == "skipped" && acts[id] > 0, p.Status == "denied", p.Status == "expired" && acts[id] > 0:
			list = append(list, fmt.Sprintf("%s is %s, carried out %d times", id, p.Status, acts[id]))
		case p.Status == "done" && p.Wait == "" && acts[id] == 0:
			list = append(list, id+" is done and was not carried out")
		}
		if failed && !p.Undo {
			list = append(list, fmt.Sprintf("%s follows a failure", id))
		}
		fine := p.Status == "done" || p.Status == "skipped"
		failed = failed || !p.Undo && !fine && c.Scenes[0].Steps[i].OnFailure != "continue"
	}
	if failed != (result.Status == gateway.StatusFailed) {
		list = append(list, fmt.Sprintf("the scene is %s, its steps %v", result.Status, statuses(told)))
	}
	return list
}
