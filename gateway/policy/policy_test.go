package policy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestWhoMay(t *testing.T) {
	c := map[gateway.DeviceID]Terms{
		"pump":  {Allow: []string{"hub", "local"}, AllowActions: map[string][]string{"pulse": {"local"}}},
		"spare": {Allow: []string{}},
	}
	inBubble(t, c, func(t *testing.T, r *rig) {
		for _, origin := range []gateway.Origin{gateway.OriginC2D, gateway.OriginMethod, gateway.OriginMQTT, gateway.OriginDesired, gateway.OriginLocal} {
			if err := r.command(origin, "pump", "on", nil); err != nil {
				t.Errorf("%s: %v", origin, err)
			}
		}
		r.denied(r.command(gateway.OriginRule, "pump", "on", nil), "pump takes no commands from rule", "hub, local")
		r.denied(r.command(gateway.OriginLocal, "spare", "on", nil), "its `allow` has nobody")
		ms := map[string]any{"ms": 5.0}
		r.denied(r.command(gateway.OriginC2D, "pump", "pulse", ms), "asked to pulse by hub", "allow_actions", "local")
		if err := r.command(gateway.OriginLocal, "pump", "pulse", ms); err != nil {
			t.Error(err)
		}
	})
}

func TestTooManyCommands(t *testing.T) {
	inBubble(t, map[gateway.DeviceID]Terms{"pump": {MaxCommands: &Budget{Count: 2, Per: time.Minute}}}, func(_ *testing.T, r *rig) {
		r.must("pump", "on")
		r.must("pump", "on")
		r.denied(r.do("pump", "on"), "had 2 commands in 1m0s (max_commands)", "try again in 30s")
		r.must("pump", "off") // the safe state is always within reach
		time.Sleep(29 * time.Second)
		r.denied(r.do("pump", "on"), "try again in 1s")
		time.Sleep(time.Second)
		r.must("pump", "on")
		r.denied(r.do("pump", "on"))
		time.Sleep(time.Hour)
		r.must("pump", "on")
		r.must("pump", "on")
		r.denied(r.do("pump", "on"))
	})
}

func TestLeastTimes(t *testing.T) {
	inBubble(t, map[gateway.DeviceID]Terms{"pump": {MinOn: 10 * time.Second, MinOff: 5 * time.Minute}}, func(_ *testing.T, r *rig) {
		time.Sleep(time.Minute)
		r.denied(r.do("pump", "on"), "it has been off for 1m0s, min_off is 5m0s; try again in 4m0s")
		r.must("pump", "off") // it is; and that does not make it longer
		time.Sleep(4 * time.Minute)
		r.must("pump", "on")
		time.Sleep(9 * time.Second)
		r.must("pump", "on")
		r.denied(r.do("pump", "off"), "it has been on for 9s, min_on is 10s; try again in 1s")
		r.is("pump", true)
		if err := r.Safe("pump", "the test wants it"); err != nil {
			r.t.Error(err)
		}
		r.is("pump", false) // whatever the times say
		r.denied(r.do("pump", "on"), "min_off")
		time.Sleep(5 * time.Minute)
		r.must("pump", "on")

		// One that has come back after it was lost has been off since then only.
		time.Sleep(10 * time.Second)
		r.relays["pump"].change(func(d *relay) { d.there, d.on = false, false })
		r.Changed()
		time.Sleep(time.Hour)
		r.denied(r.do("pump", "on"), "pump cannot be reached, and min_off (5m0s) counts from when it is found again")
		r.relays["pump"].change(func(d *relay) { d.there = true })
		r.Changed()
		r.is("pump", false)
		r.denied(r.do("pump", "on"), "it has been off for 0s")
	})
}

// TestLeastTimesOfWhatIsNotKnown: a write that has failed may have switched all the
// same.
func TestLeastTimesOfWhatIsNotKnown(t *testing.T) {
	inBubble(t, map[gateway.DeviceID]Terms{"pump": {MinOn: 10 * time.Second, MinOff: time.Minute}}, func(t *testing.T, r *rig) {
		time.Sleep(time.Minute)
		r.must("pump", "on")
		time.Sleep(time.Minute)
		r.relays["pump"].change(func(d *relay) { d.fail = errors.New("it does not work") })
		if err := r.do("pump", "off"); err == nil {
			t.Error("it works")
		}
		r.relays["pump"].change(func(d *relay) { d.fail = nil })
		time.Sleep(9 * time.Second)
		r.denied(r.do("pump", "on"), "it has been in an unknown state for 9s, min_off is 1m0s")
		r.denied(r.do("pump", "off"), "it has been in an unknown state for 9s, min_on is 10s")
		time.Sleep(time.Second)
		r.must("pump", "off")
	})
}

func TestPulseCountsAsOn(t *testing.T) {
	inBubble(t, map[gateway.DeviceID]Terms{"pump": {MinOff: time.Minute}}, func(_ *testing.T, r *rig) {
		time.Sleep(time.Minute)
		r.relays["pump"].change(func(d *relay) { d.takes = time.Second }) // nobody looks while it is on
		ms := map[string]any{"ms": 5000.0}
		if err := r.command(gateway.OriginC2D, "pump", "pulse", ms); err != nil {
			r.t.Error(err)
		}
		time.Sleep(59 * time.Second)
		r.denied(r.command(gateway.OriginC2D, "pump", "pulse", ms), "min_off", "try again in 1s")
		time.Sleep(time.Second)
		r.must("pump", "on")
	})
}

func TestMostTime(t *testing.T) {
	inBubble(t, map[gateway.DeviceID]Terms{"pump": {MaxOn: 20 * time.Minute}}, func(t *testing.T, r *rig) {
		r.must("pump", "on")
		time.Sleep(15 * time.Minute)
		r.must("pump", "on") // makes it no longer
		time.Sleep(5*time.Minute - time.Nanosecond)
		r.is("pump", true)
		time.Sleep(time.Nanosecond)
		r.is("pump", false)
		if s, _ := r.Standing("pump"); s.Safe != "yes" || s.MadeSafe != "it has been on for 20m0s (max_on)" || r.hasCondition("made-safe:pump") != "" {
			t.Errorf("%+v, conditions %v", s, r.board.Conditions())
		}
		r.must("pump", "on")
		if s, _ := r.Standing("pump"); s.Safe != "no" || s.MadeSafe != "" {
			t.Errorf("%+v", s)
		}
		r.must("pump", "off")
		r.must("pump", "on") // the time begins anew
		time.Sleep(20*time.Minute - time.Second)
		r.is("pump", true)
		time.Sleep(time.Second)
		r.is("pump", false)
	})
}

// TestSafeStateIsTriedAgain until it is taken, and commands are denied before.
func TestSafeStateIsTriedAgain(t *testing.T) {
	inBubble(t, map[gateway.DeviceID]Terms{"pump": {MaxOn: time.Minute}}, func(t *testing.T, r *rig) {
		r.must("pump", "on")
		r.relays["pump"].change(func(d *relay) { d.fail = errors.New("it does not work") })
		time.Sleep(time.Minute + 2*time.Second + time.Millisecond)
		synctest.Wait()
		if got := r.relays["pump"].safes; got != 3 {
			t.Errorf("tried %d times", got)
		}
		if c := r.hasCondition("made-safe:pump"); !strings.Contains(c, "max_on") || !strings.Contains(c, "it does not work; it is tried again") {
			t.Errorf("condition %q", c)
		}
		r.denied(r.do("pump", "on"), "has not taken its safe state yet", "max_on")
		r.relays["pump"].change(func(d *relay) { d.fail = nil })
		time.Sleep(time.Second)
		r.is("pump", false)
		if c := r.hasCondition("made-safe:pump"); c != "" {
			t.Errorf("condition %q", c)
		}
		r.must("pump", "on")
	})
}

func TestLeftAlone(t *testing.T) {
	c := map[gateway.DeviceID]Terms{
		"pump": {SafeAfter: SafeAfter{Silence: 30 * time.Minute}},
		"fan":  {SafeAfter: SafeAfter{LinkLost: 10 * time.Minute}},
	}
	inBubble(t, c, func(t *testing.T, r *rig) {
		r.must("pump", "on")
		r.must("fan", "on")
		time.Sleep(29 * time.Minute)
		r.must("pump", "on")
		time.Sleep(29 * time.Minute)
		r.is("pump", true)
		r.link(false)
		time.Sleep(time.Minute)
		r.is("pump", false)
		if c := r.hasCondition("made-safe:pump"); c != "pump was taken to its safe state, since no command has come for it for 30m0s (safe_after.silence)" {
			t.Errorf("condition %q", c)
		}
		time.Sleep(8*time.Minute + 58*time.Second)
		r.is("fan", true)
		time.Sleep(2 * time.Second)
		r.is("fan", false)
		if c := r.hasCondition("made-safe:fan"); !strings.Contains(c, "no session with the hub for 10m0s (safe_after.link_lost)") {
			t.Errorf("condition %q", c)
		}

		// Who is commanded on site during an outage has as long again.
		r.must("fan", "on")
		time.Sleep(10*time.Minute - 2*linkEvery)
		r.is("fan", true)
		if c := r.hasCondition("made-safe:fan"); c != "" {
			t.Errorf("condition %q", c)
		}
		r.link(true) // which is asked for before the time is over
		time.Sleep(time.Hour)
		r.is("fan", true)
	})
}

// plumbing is a pump that needs an open valve and enough in its tank.
func plumbing() map[gateway.DeviceID]Terms {
	return map[gateway.DeviceID]Terms{
		"pump":  {OnlyWhile: "valve.on and tank.level > 10"},
		"valve": {SafeAfter: SafeAfter{Silence: time.Hour}},
	}
}

func TestInterlock(t *testing.T) {
	inBubble(t, plumbing(), func(t *testing.T, r *rig) {
		r.denied(r.do("pump", "on"), "pump may only be away from its safe state while `valve.on and tank.level > 10` (only_while)", "tank.level is not known: no reading has come yet")
		r.measure(12)
		r.denied(r.do("pump", "on"), "valve.on is false, tank.level is 12; see to that first")
		r.must("valve", "on")
		r.must("pump", "on")
		r.denied(r.do("valve", "off"), "pump is not in its safe state", "needs `valve.on and tank.level > 10` (only_while of pump)", "valve.on is false", "bring pump into its safe state first")
		r.denied(r.command(gateway.OriginLocal, "valve", "pulse", map[string]any{"ms": 10.0}), "pulse changes valve for a moment only", "pump")
		r.is("valve", true)

		r.measure(9) // the level sinks
		r.is("pump", false)
		if c := r.hasCondition("made-safe:pump"); c != "pump was taken to its safe state, since valve.on is true, tank.level is 9, and it needs `valve.on and tank.level > 10` (only_while)" {
			t.Errorf("condition %q", c)
		}
		r.measure(11)
		if c := r.hasCondition("made-safe:pump"); c != "" {
			t.Errorf("condition %q", c)
		}
		r.must("pump", "on")
		time.Sleep(time.Minute - time.Nanosecond)
		r.is("pump", true)
		time.Sleep(time.Nanosecond) // the level is not known any more
		r.is("pump", false)
		if c := r.hasCondition("made-safe:pump"); !strings.Contains(c, "tank.level is not known: its last reading came 1m0s ago, and counts for 1m0s (only_while_max_age)") {
			t.Errorf("condition %q", c)
		}
		r.must("valve", "off")
		if v, _ := r.opts.Latest.Get("valve", "on"); v.Value != gateway.Bool(false) {
			t.Errorf("the board has %v", v)
		}
	})
}

// TestConditionWithoutResult: a division by zero is larger than nothing, and a reading
// that is no number less than nothing.
func TestConditionWithoutResult(t *testing.T) {
	inBubble(t, map[gateway.DeviceID]Terms{"pump": {OnlyWhile: "1 / tank.level > 2 or not (tank.level < 10)"}}, func(t *testing.T, r *rig) {
		const why = "the condition has no result: the result is +Inf, which is no finite number, at character 3"
		r.measure(0)
		r.denied(r.do("pump", "on"), "tank.level is 0, and "+why)
		r.measure(math.NaN())
		r.denied(r.do("pump", "on"), "tank.level is NaN, which is no finite number")
		r.measure(0.1)
		r.must("pump", "on")
		r.measure(0)
		r.is("pump", false)
		if c := r.hasCondition("made-safe:pump"); !strings.Contains(c, why) {
			t.Errorf("condition %q", c)
		}
	})
}

// TestDependentsComeFirst: when the valve takes its safe state, is lost, or is
// closed by somebody else.
func TestDependentsComeFirst(t *testing.T) {
	inBubble(t, plumbing(), func(t *testing.T, r *rig) {
		run := func() {
			t.Helper()
			r.measure(20)
			r.must("valve", "on")
			r.must("pump", "on")
			r.plant.history = nil
		}
		run()
		r.relays["pump"].change(func(d *relay) { d.takes = time.Second })
		if err := r.Safe("valve", "the test wants it"); err != nil {
			t.Error(err)
		}
		r.denied(r.do("pump", "on"), "valve.on is false")
		time.Sleep(3 * time.Second)
		r.is("valve", false)
		if got := strings.Join(r.plant.history, ", "); got != "pump false, valve false" {
			t.Errorf("changed: %s", got)
		}
		r.relays["pump"].change(func(d *relay) { d.takes = 0 })

		run()
		r.relays["valve"].change(func(d *relay) { d.there = false })
		r.Changed()
		r.is("pump", false)
		if c := r.hasCondition("made-safe:pump"); !strings.Contains(c, "valve.on is not known: valve cannot be reached") {
			t.Errorf("condition %q", c)
		}
		r.denied(r.do("pump", "on"), "valve cannot be reached")
		r.relays["valve"].change(func(d *relay) { d.there = true })

		run()
		r.relays["valve"].change(func(d *relay) { d.on = false })
		r.Changed()
		r.is("pump", false)
	})
}

// TestStuckDriverHoldsUpNoSafeState: the valve is closed although the pump does not
// come back, and when that does, it is made safe at once.
func TestStuckDriverHoldsUpNoSafeState(t *testing.T) {
	inBubble(t, plumbing(), func(t *testing.T, r *rig) {
		r.measure(20)
		r.must("valve", "on")
		back := make(chan struct{})
		r.relays["pump"].change(func(d *relay) { d.hang = back })
		done := make(chan error)
		go func() { done <- r.do("pump", "on") }()
		synctest.Wait()
		r.denied(r.do("valve", "off"), "pump is not in its safe state, or cannot be reached")
		if err := r.Safe("valve", "the test wants it"); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Second)
		r.is("valve", false)
		if c := r.hasCondition("made-safe:pump"); !strings.Contains(c, "it has not come back within 3s") {
			t.Errorf("condition %q", c)
		}
		r.relays["pump"].change(func(d *relay) { d.hang = nil })
		close(back)
		if err := <-done; err == nil {
			t.Error("the command is done although it was cut short")
		}
		time.Sleep(time.Second)
		r.is("pump", false)
	})
}

// TestWhatIsUnderWayIsNotKnown: while the valve does not come back from being closed,
// the pump cannot rely on it.
func TestWhatIsUnderWayIsNotKnown(t *testing.T) {
	inBubble(t, plumbing(), func(t *testing.T, r *rig) {
		r.measure(20)
		r.must("valve", "on")
		back := make(chan struct{})
		r.relays["valve"].change(func(d *relay) { d.hang = back })
		done := make(chan error)
		go func() { done <- r.do("valve", "off") }()
		synctest.Wait()
		begun := time.Now()
		r.denied(r.do("pump", "on"), "valve.on is not known: valve is in the middle of a command")
		if waited := time.Since(begun); waited != patience {
			t.Errorf("it has waited for %v", waited)
		}
		r.relays["valve"].change(func(d *relay) { d.hang = nil })
		close(back)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestDriverThatDoesNotHear acts although its command was cut short, at once or late:
// the safe state is taken again.
func TestDriverThatDoesNotHear(t *testing.T) {
	for _, late := range []time.Duration{time.Second, time.Hour} {
		inBubble(t, map[gateway.DeviceID]Terms{"pump": {}}, func(t *testing.T, r *rig) {
			dev := r.relays["pump"]
			run, end, err := r.Begin(t.Context(), gateway.Command{Device: "pump", Action: "on"}, dev.action("on"))
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Safe("pump", "the test wants it"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(late)
			if context.Cause(run) == nil || context.Cause(run).Error() != "the test wants it" {
				t.Errorf("it was not cut short: %v", context.Cause(run))
			}
			if err := dev.set(t.Context(), true); err != nil {
				t.Error(err)
			}
			end()
			r.is("pump", false)
		})
	}
}

// TestOrderWaitsForWhatIsUnderWay: the valve is closed only when the pump, which was
// about to be switched on, is off for good.
func TestOrderWaitsForWhatIsUnderWay(t *testing.T) {
	inBubble(t, plumbing(), func(t *testing.T, r *rig) {
		r.measure(20)
		r.must("valve", "on")
		dev := r.relays["pump"]
		_, end, err := r.Begin(t.Context(), gateway.Command{Device: "pump", Action: "on"}, dev.action("on"))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Safe("valve", "the test wants it"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := dev.set(t.Context(), true); err != nil { // it does not hear
			t.Error(err)
		}
		end()
		r.is("valve", false)
		if got := strings.Join(r.plant.history, ", "); got != "valve true, pump true, pump false, valve false" {
			t.Errorf("changed: %s", got)
		}
	})
}

// TestCommandsForDevicesThatNeedEachOtherWait for one another.
func TestCommandsForDevicesThatNeedEachOtherWait(t *testing.T) {
	inBubble(t, plumbing(), func(t *testing.T, r *rig) {
		r.measure(20)
		r.relays["valve"].change(func(d *relay) { d.takes = 2 * time.Second })
		done := make(chan error)
		go func() { done <- r.do("valve", "on") }()
		synctest.Wait()
		r.must("pump", "on") // waits for the valve
		if err := <-done; err != nil {
			t.Error(err)
		}
		r.relays["valve"].change(func(d *relay) { d.takes = 0 })
	})
}

func TestCommandIsCutShort(t *testing.T) {
	inBubble(t, plumbing(), func(t *testing.T, r *rig) {
		r.measure(20)
		r.must("valve", "on")
		begun := time.Now()
		time.AfterFunc(3*time.Second, func() {
			r.opts.Latest.Put(gateway.Reading{Device: "tank", Name: "level", Value: gateway.Number(1)})
		})
		if err := r.command(gateway.OriginC2D, "pump", "pulse", map[string]any{"ms": 9000.0}); err != nil {
			t.Error(err) // the relay of this test does not complain
		}
		if lasted := time.Since(begun); lasted != 3*time.Second {
			t.Errorf("the pulse lasted %v", lasted)
		}
		r.is("pump", false)
	})
}

func TestInherit(t *testing.T) {
	c := map[gateway.DeviceID]Terms{"pump": {MinOn: time.Minute, MaxOn: time.Hour, MaxCommands: &Budget{Count: 2, Per: time.Hour}}}
	inBubble(t, c, func(t *testing.T, r *rig) {
		r.must("pump", "on")
		if err := r.Override("pump", time.Hour); err != nil {
			t.Error(err)
		}
		time.Sleep(30 * time.Second)
		old := r.Policy
		r.succeed()
		r.denied(r.do("pump", "off"), "manual control on site for another 59m30s")
		if old.Override("pump", time.Hour) != nil { // by who has not heard of the new one
			t.Error("the one before does not pass on what it is asked")
		}
		r.denied(r.do("pump", "off"), "manual control on site for another 1h0m0s")
		if err := r.Release("pump"); err != nil {
			t.Error(err)
		}
		r.denied(r.do("pump", "off"), "it has been on for 30s")
		r.must("pump", "on")
		r.denied(r.do("pump", "on"), "max_commands")
		time.Sleep(59*time.Minute + 30*time.Second)
		r.is("pump", false)
	})
}

// TestInheritUnderWay: a command that goes on over a change of the config counts, and a
// device that comes back late from one that was cut short is made safe.
func TestInheritUnderWay(t *testing.T) {
	inBubble(t, plumbing(), func(t *testing.T, r *rig) {
		r.measure(20)
		dev := r.relays["valve"]
		_, end, err := r.Begin(t.Context(), gateway.Command{Device: "valve", Action: "on"}, dev.action("on"))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Safe("valve", "the test wants it"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		r.succeed()
		r.denied(r.do("valve", "on"), "in the middle of another command")
		if err := dev.set(t.Context(), true); err != nil {
			t.Error(err)
		}
		end()
		r.is("valve", false)
		r.must("valve", "on")
	})
}

// TestInheritedDeviceIsFoundLate: what it can do is found out then, though the policy
// before knew it.
func TestInheritedDeviceIsFoundLate(t *testing.T) {
	inBubble(t, map[gateway.DeviceID]Terms{"pump": {MaxOn: time.Minute}}, func(_ *testing.T, r *rig) {
		r.must("pump", "on")
		dev := r.relays["pump"]
		unmade := &late{relay: dev}
		r.opts.Devices[0].Actuator, r.opts.Devices[0].Stateful = unmade, unmade
		dev.change(func(d *relay) { d.there = false })
		r.succeed()
		unmade.found.Store(true)
		dev.change(func(d *relay) { d.there = true })
		r.Changed()
		time.Sleep(time.Minute)
		r.is("pump", false)
	})
}

// TestRestIsTakenOnce: a second one would find the devices closed.
func TestRestIsTakenOnce(t *testing.T) {
	inBubble(t, plumbing(), func(t *testing.T, r *rig) {
		r.Rest()
		r.Rest()
		if n := r.relays["pump"].safes; n != 1 {
			t.Errorf("the pump was made safe %d times", n)
		}
	})
}

// TestDriverThatHangsIsCalledOnce, however often its safe state is tried again.
func TestDriverThatHangsIsCalledOnce(t *testing.T) {
	inBubble(t, map[gateway.DeviceID]Terms{"pump": {}}, func(t *testing.T, r *rig) {
		r.must("pump", "on")
		dev, back := r.relays["pump"], make(chan struct{})
		dev.change(func(d *relay) { d.hang = back })
		if err := r.Safe("pump", "the test wants it"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if dev.change(func(d *relay) { d.hang = nil }); dev.safes != 1 {
			t.Errorf("called %d times", dev.safes)
		}
		close(back)
		time.Sleep(time.Minute)
		r.is("pump", false)
		if c := r.hasCondition(Condition("pump")); !strings.Contains(c, "was taken to its safe state") {
			t.Errorf("condition %q", c)
		}
	})
}

func TestStanding(t *testing.T) {
	inBubble(t, plumbing(), func(t *testing.T, r *rig) {
		for _, c := range []struct {
			change func(*relay)
			want   string
		}{
			{func(*relay) {}, "map[on:false] yes"},
			{func(d *relay) { d.on = true }, "map[on:true] no"},
			{func(d *relay) { d.known = false }, "map[] no"},
			{func(d *relay) { d.there = false }, "map[] unknown"},
		} {
			r.relays["valve"].change(c.change)
			if s, ok := r.Standing("valve"); !ok || fmt.Sprint(s.Outputs, " ", s.Safe) != c.want {
				t.Errorf("%+v, want %s", s, c.want)
			}
		}
		if _, ok := r.Standing("tank"); ok {
			t.Error("a sensor has a standing")
		}
		if err := r.Safe("tank", ""); !errors.Is(err, gateway.ErrUnknown) {
			t.Errorf("a sensor is made safe: %v", err)
		}
	})
}
