package scene_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/scene"
)

func TestSceneTakesItsStepsInOrder(t *testing.T) {
	set := do("b", "set")
	set.Args = map[string]gateway.Value{"level": gateway.Number(40)}
	bubble(t, steps(do("a", "pulse"), pause(5*time.Second), set), func(t *testing.T, r *rig) {
		r.accept("x", "night", "run")
		got := r.result("x")
		if got.Status != gateway.StatusDone || !slices.Equal(r.did(), []string{"x/1@a", "x/3@b"}) {
			t.Errorf("%+v, did %v", got, r.did())
		}
		if r.deeds[1].args["level"] != 40.0 || r.deeds[1].at.Sub(r.deeds[0].at) != 6*time.Second {
			t.Errorf("deeds %+v", r.deeds)
		}
		want := []scene.Part{
			{Step: 1, Device: "a", Action: "pulse", Status: "done"}, {Step: 2, Wait: "5s", Status: "done"}, {Step: 3, Device: "b", Action: "set", Status: "done"},
		}
		if list := parts(t, got, "steps"); !slices.Equal(list, want) {
			t.Errorf("parts %+v", list)
		}
		for _, id := range []string{"x", "x/1", "x/3"} {
			if e, _ := r.disk.entry(id); e.Command.Origin != gateway.OriginC2D || e.Result == nil {
				t.Errorf("%s: %+v", id, e)
			}
		}
	})
}

func TestFailedStep(t *testing.T) {
	undone := func(s scene.StepConfig, action string) scene.StepConfig {
		s.Undo = &scene.UndoConfig{Action: action}
		return s
	}
	for name, tt := range map[string]struct {
		onFailure string
		want      gateway.Status
		parts     []string
		did       []string
	}{
		"stop":     {"stop", "failed", []string{"done", "done", "failed"}, []string{"x/1@a", "x/2@b"}},
		"continue": {"continue", "done", []string{"done", "done", "failed", "done"}, []string{"x/1@a", "x/2@b", "x/4@a"}},
		"undo":     {"undo", "failed", []string{"done", "done", "failed", "done", "failed", "done"}, []string{"x/1@a", "x/2@b", "x/3/undo@c", "x/1/undo@a"}},
	} {
		t.Run(name, func(t *testing.T) {
			failing := undone(do("c", "fail"), "set")
			failing.OnFailure = tt.onFailure
			undo := do("b", "pulse")
			undo.OnFailure = "undo" // so that the undoing has an effect in each case
			c := steps(undone(do("a", "pulse"), "set"), undone(undo, "fail"), failing, do("a", "pulse"))
			bubble(t, c, func(t *testing.T, r *rig) {
				r.accept("x", "night", "run")
				got := r.result("x")
				if list := statuses(parts(t, got, "steps")); got.Status != tt.want || !slices.Equal(list, tt.parts) || !slices.Equal(r.did(), tt.did) {
					t.Errorf("%s (%s), parts %v, did %v", got.Status, got.Detail, list, r.did())
				}
				if tt.want == "failed" && !strings.Contains(got.Detail, "step 3, c fail: failed: jammed") {
					t.Errorf("detail %q", got.Detail)
				}
				if name == "undo" && !strings.Contains(got.Detail, "undo of step 2, b fail: failed: jammed") {
					t.Errorf("detail %q", got.Detail)
				}
			})
		})
	}
}

func TestConditionOfAStep(t *testing.T) {
	s := do("a", "pulse")
	s.OnlyIf = "tank.level > 20 and not tank.open"
	level := func(v float64) []gateway.Reading {
		return []gateway.Reading{{Device: "tank", Name: "level", Value: gateway.Number(v)}, {Device: "tank", Name: "open", Value: gateway.Bool(false)}}
	}
	bad := level(30)
	bad[0].Quality = gateway.Bad
	for name, tt := range map[string]struct {
		readings []gateway.Reading
		age      time.Duration
		want     gateway.Status
		detail   string
	}{
		"true":    {level(21), 0, "done", ""},
		"false":   {level(20), 0, "skipped", ""},
		"unknown": {level(21)[1:], 0, "failed", "only_if: tank.level is not known"},
		"old":     {level(21), 11 * time.Second, "failed", "only_if: tank.level is 11s old, want at most 10s"},
		"bad":     {bad, 0, "failed", "only_if: tank.level is bad"},
		"text":    {[]gateway.Reading{{Device: "tank", Name: "level", Value: gateway.Text("full")}, level(1)[1]}, 0, "failed", "only_if: "},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, steps(s), func(t *testing.T, r *rig) {
				r.board.Put(tt.readings...)
				time.Sleep(tt.age)
				r.accept("x", "night", "run")
				p := parts(t, r.result("x"), "steps")[0]
				if p.Status != tt.want || !strings.HasPrefix(p.Detail, tt.detail) || (len(r.deeds) == 1) != (tt.want == "done") {
					t.Errorf("%+v, did %v", p, r.did())
				}
			})
		})
	}
}

// TestConditionGoesByOutputs as they are, not by what was read of them.
func TestConditionGoesByOutputs(t *testing.T) {
	s := do("a", "pulse")
	s.OnlyIf = "b.on"
	bubble(t, steps(s), func(t *testing.T, r *rig) {
		r.board.Put(gateway.Reading{Device: "b", Name: "on", Value: gateway.Bool(false)})
		time.Sleep(time.Hour)
		r.accept("x", "night", "run")
		if got := r.result("x"); got.Status != gateway.StatusDone || len(r.deeds) != 1 {
			t.Errorf("%+v, did %v", got, r.did())
		}
	})
}

// TestGroupActsAtOnce: a member that is stuck holds up nobody but itself.
func TestGroupActsAtOnce(t *testing.T) {
	c := scene.Config{Groups: map[string][]string{"all": {"a", "b", "c"}, "both": {"all"}}}
	bubble(t, c, func(t *testing.T, r *rig) {
		begun := time.Now()
		r.accept("x", "all", "pulse")
		if got := r.result("x"); got.Status != gateway.StatusDone || len(r.deeds) != 3 || time.Since(begun) > 2*time.Second {
			t.Errorf("%+v, did %v after %v", got, r.did(), time.Since(begun))
		}
		r.stuck = "b"
		r.accept("y", "both", "pulse")
		got := r.result("y")
		if got.Status != gateway.StatusFailed || len(r.deeds) != 5 || r.deeds[4].at.Sub(r.deeds[0].at) > 3*time.Second {
			t.Errorf("%+v, did %v", got, r.did())
		}
		inner, _ := r.disk.entry("y/1")
		if list := statuses(parts(t, inner.Result, "devices")); !slices.Equal(list, []string{"done", "failed", "done"}) {
			t.Errorf("members: %v", list)
		}
		if !strings.Contains(inner.Result.Detail, "b pulse: failed: device did not answer in 20s") {
			t.Errorf("detail %q", inner.Result.Detail)
		}
	})
}

// TestTimeOfAScene: after it nothing is begun any more.
func TestTimeOfAScene(t *testing.T) {
	c := steps(do("b", "pulse"), do("a", "pulse"))
	c.Scenes[0].Within = 15 * time.Second
	bubble(t, c, func(t *testing.T, r *rig) {
		r.stuck = "b"
		r.accept("x", "night", "run")
		r.accept("late", "night", "run")
		got := r.result("x")
		if list := statuses(parts(t, got, "steps")); got.Status != gateway.StatusFailed || !slices.Equal(list, []string{"unfinished"}) || len(r.deeds) != 0 {
			t.Errorf("%+v, did %v", got, r.did())
		}
		late := r.result("late") // it has waited for its turn
		if late.Status != gateway.StatusExpired || len(r.deeds) != 0 {
			t.Errorf("%+v, did %v", late, r.did())
		}
	})
}

// TestIDsOfSteps: one that is taken by another command is not taken for the step,
// and one that would be too long is still the same each time.
func TestIDsOfSteps(t *testing.T) {
	bubble(t, steps(do("a", "pulse")), func(t *testing.T, r *rig) {
		r.accept("x/1", "b", "pulse")
		r.result("x/1")
		r.accept("x", "night", "run")
		if got := r.result("x"); got.Status != gateway.StatusFailed || !strings.Contains(got.Detail, "x/1 belongs to another command: b pulse") {
			t.Errorf("%+v", got)
		}
		long := strings.Repeat("x", 128)
		r.accept(long, "night", "run")
		if got := r.result(long); got.Status != gateway.StatusDone || len(r.deeds) != 2 || !strings.HasPrefix(r.deeds[1].id, "sha256-") {
			t.Errorf("%+v, did %v", got, r.did())
		}
	})
}

// TestCancelledScene fails with the step at which it is, and undoes what that wants
// undone.
func TestCancelledScene(t *testing.T) {
	first := do("a", "pulse")
	first.Undo = &scene.UndoConfig{Action: "set"}
	for onFailure, want := range map[string][]string{"undo": {"x/1@a", "x/1/undo@a"}, "stop": {"x/1@a"}, "continue": {"x/1@a"}} {
		t.Run(onFailure, func(t *testing.T) {
			wait := pause(20 * time.Second)
			wait.OnFailure = onFailure
			last := do("b", "pulse")
			last.OnFailure = "undo"
			bubble(t, steps(first, wait, last), func(t *testing.T, r *rig) {
				r.accept("x", "night", "run")
				time.Sleep(10 * time.Second)
				got, err := r.Cancel(t.Context(), "x", "somebody")
				if err != nil || got.Status != gateway.StatusFailed || !strings.Contains(got.Detail, "step 2, pause: failed: cancelled by somebody") {
					t.Errorf("%+v, %v", got, err)
				}
				if !slices.Equal(r.did(), want) {
					t.Errorf("did %v", r.did())
				}
				r.accept("y", "night", "run")
				if got := r.result("y"); got.Status != gateway.StatusDone {
					t.Errorf("the next run: %+v", got)
				}
			})
		})
	}
}

// TestStopDoesNotWaitForAScene: it ends at once, and the next start goes on.
func TestStopDoesNotWaitForAScene(t *testing.T) {
	c := steps(do("a", "pulse"), pause(20*time.Second), do("b", "pulse"))
	bubble(t, c, func(t *testing.T, r *rig) {
		r.accept("x", "night", "run")
		time.Sleep(10 * time.Second)
		begun := time.Now()
		r.halt()
		if took := time.Since(begun); took != 0 {
			t.Errorf("the stop took %v", took)
		}
		time.Sleep(5 * time.Second)
		r.start(c)
		if got := r.result("x"); got.Status != gateway.StatusDone || !slices.Equal(r.did(), []string{"x/1@a", "x/3@b"}) {
			t.Errorf("%+v, did %v", got, r.did())
		}
	})
}

// TestNoStaleContinuation: a scene that was cut short is not gone on with when its
// time is over, when nobody knows whether it is, or when it has become another.
func TestNoStaleContinuation(t *testing.T) {
	for name, tt := range map[string]struct {
		away   time.Duration
		change func(r *rig, c *scene.Config)
		detail string
	}{
		"late":      {3 * time.Minute, func(*rig, *scene.Config) {}, "since its time is over"},
		"untrusted": {time.Second, func(r *rig, _ *scene.Config) { r.clock.untrusted = true; r.clock.reboot() }, "does not know how long ago"},
		"rebooted":  {3 * time.Minute, func(r *rig, _ *scene.Config) { r.clock.reboot() }, "since its time is over"},
		"stepped":   {3 * time.Minute, func(r *rig, _ *scene.Config) { r.clock.untrusted = true }, "since its time is over"},
		"changed":   {time.Second, func(_ *rig, c *scene.Config) { c.Scenes[0].Steps[1] = do("c", "pulse") }, "the scene has been changed"},
		"forgotten": {time.Second, func(r *rig, _ *scene.Config) { clear(r.disk.memories) }, "no record"},
	} {
		t.Run(name, func(t *testing.T) {
			c := steps(do("a", "pulse"), pause(20*time.Second), do("b", "pulse"))
			bubble(t, c, func(t *testing.T, r *rig) {
				r.accept("x", "night", "run")
				time.Sleep(10 * time.Second)
				r.halt()
				time.Sleep(tt.away)
				tt.change(r, &c)
				r.start(c)
				if got := r.result("x"); got.Status != gateway.StatusFailed || !strings.Contains(got.Detail, tt.detail) || len(r.deeds) != 1 {
					t.Errorf("%+v, did %v", got, r.did())
				}
			})
		})
	}
}

// TestScenesNeedNoTrustedClock as long as the board is up.
func TestScenesNeedNoTrustedClock(t *testing.T) {
	c := steps(do("a", "pulse"), pause(20*time.Second), do("b", "pulse"))
	bubble(t, c, func(t *testing.T, r *rig) {
		r.clock.untrusted = true
		go r.Do(t.Context(), gateway.Command{ID: "x", Device: "night", Action: "run"})
		time.Sleep(10 * time.Second)
		r.halt()
		r.start(c)
		if got := r.result("x"); got.Status != gateway.StatusDone || !slices.Equal(r.did(), []string{"x/1@a", "x/3@b"}) {
			t.Errorf("%+v, did %v", got, r.did())
		}
	})
	bubble(t, steps(do("a", "pulse"), pause(time.Second), do("b", "pulse")), func(t *testing.T, r *rig) {
		r.clock.untrusted = true
		got, err := r.Do(context.Background(), gateway.Command{ID: "x", Device: "night", Action: "run"})
		if err != nil || got.Status != gateway.StatusDone || len(r.deeds) != 2 {
			t.Errorf("%+v, %v, did %v", got, err, r.did())
		}
		synctest.Wait()
	})
}
