package rules

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// TestHysteresis: a rule begins when its condition has held for long enough, and ends
// below another limit.
func TestHysteresis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(testWorld, nil, fan)
		defer func() { r.stop() }()
		r.is(Off, "air.temperature has not come yet")
		r.measure("air.temperature", 20)
		r.expect("fan set on=false done") // what it says, once it is known
		r.is(Off, "")
		r.measure("air.temperature", 36)
		r.is(Pending, "")
		r.pass(time.Minute)
		r.measure("air.temperature", 35)
		r.is(Off, "") // it has to hold anew
		r.measure("air.temperature", 36)
		r.pass(2*time.Minute - time.Second)
		r.expect()
		r.pass(time.Second)
		r.expect(`alert fan true map[air.temperature:36]`, "fan set on=true done")
		r.is(On, "")
		r.measure("air.temperature", 33)
		r.is(On, "")
		r.measure("air.temperature", 32.9)
		r.is(Off, "")
		r.expect(`alert fan false map[air.temperature:32.9]`, "fan set on=false done")
	})
}

// TestWhatIsNotKnown: nothing begins and nothing ends; when that has lasted, the
// device is made safe, and follows again when it is over.
func TestWhatIsNotKnown(t *testing.T) {
	for _, c := range []struct{ ifSilent, silent, back string }{
		{"", "fan safe since rule fan goes by what is not known: air.temperature is older than 5m0s", "fan set on=true done"},
		{"otherwise", "fan set on=false done", "fan set on=true done"},
		{"keep", "", ""},
	} {
		t.Run(c.ifSilent, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				rule := fan
				rule.For, rule.IfSilent = 0, c.ifSilent
				r.start(testWorld, nil, rule)
				defer func() { r.stop() }()
				r.measure("air.temperature", 36)
				r.expect(`alert fan true map[air.temperature:36]`, "fan set on=true done")
				r.measure("air.temperature", nil)
				r.is(On, "air.temperature is bad")
				r.measure("air.temperature", 36)
				r.is(On, "")
				r.pass(5*time.Minute - time.Second)
				r.expect()
				r.pass(time.Second)
				r.is(On, "air.temperature is older than 5m0s")
				r.expect(lines(c.silent)...)
				if said := r.condition("rule:fan"); !strings.Contains(said, "air.temperature is older than 5m0s; device fan") {
					t.Errorf("health says %q", said)
				}
				r.measure("air.temperature", 34) // between the limits
				r.is(On, "")
				r.expect(lines(c.back)...)
				r.measure("air.temperature", 30)
				r.expect(`alert fan false map[air.temperature:30]`, "fan set on=false done")
				if said := r.condition("rule:fan"); said != "" {
					t.Errorf("health says %q", said)
				}
			})
		})
	}
}

// TestConditionWithoutResult: a division by zero is larger than nothing.
func TestConditionWithoutResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(testWorld, nil, Rule{ID: "a", When: "1 / air.temperature > 2", Do: set("fan", true)})
		defer func() { r.stop() }()
		const why = "the result is +Inf, which is no finite number, at character 3"
		r.measure("air.temperature", 0)
		r.is(Off, why)
		r.measure("air.temperature", 0.1)
		r.expect("fan set on=true done")
		r.measure("air.temperature", 0)
		r.is(On, why)
		r.expect()
		r.pass(5 * time.Minute)
		r.expect("fan safe since rule a goes by what is not known: air.temperature is older than 5m0s")
	})
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// TestSilenceOfADeviceAtRest: nothing is to be done, and nothing is said to be.
func TestSilenceOfADeviceAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.resting = "fan"
		r.start(testWorld, nil, fan)
		defer func() { r.stop() }()
		r.measure("air.temperature", 20)
		r.expect("fan set on=false done")
		r.pass(5 * time.Minute)
		r.is(Off, "air.temperature is older than 5m0s")
		r.expect()
		r.measure("air.temperature", 20)
		r.expect("fan set on=false done")
	})
}

// TestUnknownEnd: a rule does not begin while nobody could tell when it is over; and
// one whose device has no safe state says nothing of it.
func TestUnknownEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(testWorld, nil, Rule{ID: "a", When: "air.temperature > 35", Until: "door.open", Do: set("unsafe", true)})
		defer func() { r.stop() }()
		r.measure("air.temperature", 36)
		r.is(Off, "door.open has not come yet")
		r.measure("door.open", false)
		r.expect("unsafe set on=true done")
		r.measure("air.temperature", 20)
		r.is(On, "")
		r.pass(5 * time.Minute)
		if said := r.condition("rule:a"); strings.Contains(said, "safe state") || !strings.Contains(said, "older than") {
			t.Errorf("health says %q", said)
		}
		r.measure("air.temperature", 36)
		r.measure("door.open", false)
		r.expect("unsafe set on=true done")
	})
}

// TestBadValuesDoNotResetFor, if they are few.
func TestBadValuesDoNotResetFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		rule := fan
		rule.Otherwise, rule.Alert = nil, ""
		r.start(testWorld, nil, rule)
		defer func() { r.stop() }()
		r.measure("air.temperature", 36)
		r.pass(time.Minute)
		r.measure("air.temperature", nil)
		r.pass(2 * time.Minute)
		r.expect() // nothing begins while it is bad
		r.measure("air.temperature", 36)
		r.expect("fan set on=true done")
	})
}

// TestRestart: what has begun goes on, is not told again, and the device, which was
// made safe, follows again, unless its action cannot be repeated.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		rule, pulse := fan, Rule{ID: "bell", When: "door.open", Do: &Do{Device: "lamp", Action: "pulse"}}
		rule.For = 0
		r.start(testWorld, nil, rule, pulse)
		r.measure("air.temperature", 36)
		r.measure("door.open", true)
		r.expect(`alert fan true map[air.temperature:36]`, "fan set on=true done", "lamp pulse done")
		r.stop()
		r.board.Forget("air")
		r.board.Forget("door")
		r.pass(time.Minute)
		r.start(testWorld, nil, rule, pulse)
		r.is(On, "air.temperature has not come yet")
		r.pass(time.Minute)
		r.expect()
		r.measure("air.temperature", 34)
		r.measure("door.open", true)
		r.expect("fan set on=true done")
		r.measure("door.open", false)
		r.measure("door.open", true)
		r.pass(time.Second) // min_interval
		r.expect("lamp pulse done")
		r.stop()

		r.start(testWorld, nil) // the rules are gone
		r.expect("alert fan false map[]")
		r.stop()
		r.start(testWorld, nil)
		r.expect()
		r.stop()
	})
}

// TestOverwhelmed: a rule that flaps is suspended, says so, and resumes.
func TestOverwhelmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(testWorld, nil, Rule{ID: "flap", When: "door.open", Do: set("lamp", true), Otherwise: set("lamp", false)})
		defer func() { r.stop() }()
		for range 60 {
			r.measure("door.open", true)
			r.pass(time.Second)
			r.measure("door.open", false)
			r.pass(time.Second)
		}
		r.mu.Lock()
		n := len(r.notes)
		r.notes = nil
		r.mu.Unlock()
		if n != 2*defaultMaxPerMinute {
			t.Errorf("%d commands", n)
		}
		r.is(Suspended, "")
		if said := r.condition("rule:flap"); !strings.Contains(said, "began 10 times within a minute") {
			t.Errorf("health says %q", said)
		}
		if r.memory.saves > 30 {
			t.Errorf("written %d times", r.memory.saves)
		}
		for range 10 {
			r.pass(time.Minute)
			r.measure("door.open", true)
		}
		r.is(On, "")
		r.expect("lamp set on=true done")
		if said := r.condition("rule:flap"); said != "" {
			t.Errorf("health says %q", said)
		}
	})
}

// TestDisobedience: a command that is denied is tried again with growing pauses while
// the rule lasts; what cannot be repeated and has failed, not.
func TestDisobedience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		rule := fan
		rule.For, rule.Alert, rule.MaxAge = 0, "", 24*time.Hour
		r.start(testWorld, nil, rule, Rule{ID: "bell", When: "door.open", MaxAge: 24 * time.Hour, Do: &Do{Device: "lamp", Action: "pulse"}})
		defer func() { r.stop() }()
		r.refuse = func(gateway.Command) (gateway.Status, string) { return gateway.StatusDenied, "the valve is closed" }
		r.measure("air.temperature", 36)
		r.expect("fan set on=true denied")
		if said := r.condition("rule:fan"); !strings.Contains(said, "fan set was not carried out, denied: the valve is closed") {
			t.Errorf("health says %q", said)
		}
		r.pass(10 * time.Second)
		r.expect("fan set on=true denied")
		r.pass(19 * time.Second)
		r.expect()
		r.pass(time.Second)
		r.expect("fan set on=true denied")
		r.pass(time.Hour)
		r.mu.Lock()
		if n := len(r.notes); n < 12 || n > 16 {
			t.Errorf("%d attempts in an hour", n)
		}
		r.notes, r.refuse = nil, nil
		r.mu.Unlock()
		r.pass(maxPause)
		r.expect("fan set on=true done")
		if said := r.condition("rule:fan"); said != "" {
			t.Errorf("health says %q", said)
		}
		r.refuse = func(gateway.Command) (gateway.Status, string) { return gateway.StatusFailed, "the bus hangs" }
		r.measure("door.open", true)
		r.expect("lamp pulse failed")
		r.pass(time.Hour)
		r.expect()
		if said := r.condition("rule:bell"); !strings.Contains(said, "the bus hangs") {
			t.Errorf("health says %q", said)
		}
		seen := make(map[string]bool)
		for _, id := range r.ids {
			if seen[id] || !strings.HasPrefix(id, "rule-") {
				t.Errorf("id %s", id)
			}
			seen[id] = true
		}
	})
}

// TestAnotherOrder takes the place of one that did not succeed.
func TestAnotherOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		rule := fan
		rule.For, rule.Alert = 0, ""
		r.start(testWorld, nil, rule)
		defer func() { r.stop() }()
		r.refuse = func(cmd gateway.Command) (gateway.Status, string) {
			if cmd.Args["on"] == true {
				return gateway.StatusDenied, "no"
			}
			return gateway.StatusDone, ""
		}
		r.measure("air.temperature", 36)
		r.expect("fan set on=true denied")
		r.measure("air.temperature", 20)
		r.expect("fan set on=false done")
		r.pass(time.Hour)
		r.expect("fan safe since rule fan goes by what is not known: air.temperature is older than 5m0s")
	})
}

// TestEndWithoutOtherwise: what a rule could not have done is not done after its end.
func TestEndWithoutOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(testWorld, nil, Rule{ID: "fan", When: "air.temperature > 35", MaxAge: 24 * time.Hour, Do: set("fan", true)})
		defer func() { r.stop() }()
		r.refuse = func(gateway.Command) (gateway.Status, string) { return gateway.StatusDenied, "no" }
		r.measure("air.temperature", 36)
		r.expect("fan set on=true denied")
		r.measure("air.temperature", 20)
		r.refuse = nil
		r.pass(time.Hour)
		r.expect()
		if said := r.condition("rule:fan"); said != "" {
			t.Errorf("health says %q", said)
		}
	})
}

// TestRepeat: an actuator that was reset follows again.
func TestRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(testWorld, nil, Rule{ID: "fan", When: "air.temperature > 35", MaxAge: 24 * time.Hour, Repeat: 10 * time.Minute, Do: set("fan", true)})
		defer func() { r.stop() }()
		r.measure("air.temperature", 36)
		r.expect("fan set on=true done")
		r.pass(25 * time.Minute)
		r.expect("fan set on=true done", "fan set on=true done")
		r.measure("air.temperature", 20)
		r.pass(time.Hour)
		r.expect()
	})
}

// TestTimesOfDay: days, and moments that were missed.
func TestTimesOfDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t) // a Monday, 12:00
		rule := Rule{ID: "morning", At: []string{"06:30", "18:00"}, Days: []string{"mon-fri"}, CatchUp: 2 * time.Hour, Do: set("lamp", true)}
		r.start(testWorld, nil, rule)
		r.is(Scheduled, "")
		r.until("2026-06-01T17:59:59Z")
		r.expect()
		r.until("2026-06-01T18:00:00Z")
		r.expect("lamp set on=true done")
		if id := r.ids[0]; id != "rule-morning-20260601T180000Z" {
			t.Errorf("id %s", id)
		}
		r.until("2026-06-05T23:00:00Z") // Friday
		r.expect(slicesOf("lamp set on=true done", 8)...)
		r.until("2026-06-08T06:00:00Z")
		r.expect() // no weekend
		r.stop()
		r.until("2026-06-10T07:00:00Z") // off from Monday to Wednesday
		r.start(testWorld, nil, rule)
		r.expect("lamp set on=true done") // of today, within catch_up
		if s := r.engine.Status()[0]; s.Missed != 4 {
			t.Errorf("missed %d: %s", s.Missed, s.LastMissed)
		}
		r.stop()
		r.until("2026-06-10T21:00:00Z")
		r.start(testWorld, nil, rule)
		r.expect() // too late
		if s := r.engine.Status()[0]; s.Missed != 1 || !strings.Contains(s.LastMissed, "3h0m0s late") {
			t.Errorf("missed %d: %s", s.Missed, s.LastMissed)
		}
		r.stop()
	})
}

func slicesOf(text string, n int) []string {
	return strings.Split(strings.TrimSuffix(strings.Repeat(text+"\n", n), "\n"), "\n")
}

// TestStepsOfTheClock: none has a time of day done twice, or many done at once.
func TestStepsOfTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(testWorld, nil, Rule{ID: "noon", At: []string{"13:00"}, Do: set("lamp", true)})
		defer func() { r.stop() }()
		r.until("2026-06-01T13:00:01Z")
		r.expect("lamp set on=true done")
		for range 3 {
			r.clock.set(timeOf(t, "2026-06-01T12:59:50Z")) // back
			r.pass(time.Minute)
		}
		r.expect()
		r.clock.set(timeOf(t, "2026-06-11T12:00:00Z")) // forward, over ten of them
		r.pass(time.Minute)
		r.expect()
		if s := r.engine.Status()[0]; s.Missed != 9 {
			t.Errorf("missed %d: %s", s.Missed, s.LastMissed)
		}
		r.clock.set(timeOf(t, "2026-06-11T12:59:30Z"))
		r.pass(time.Minute)
		r.expect("lamp set on=true done")
		r.clock.set(timeOf(t, "2026-06-11T23:59:30Z"))
		r.pass(time.Minute)
		r.clock.set(timeOf(t, "2026-06-11T12:59:30Z"))
		r.pass(time.Minute)
		r.expect()
		r.clock.set(timeOf(t, "2031-01-01T12:59:30Z")) // five years ahead
		r.pass(time.Minute)
		r.expect("lamp set on=true done")
		r.clock.set(timeOf(t, "2026-06-12T12:00:00Z")) // it was wrong
		r.pass(time.Hour)
		r.expect("lamp set on=true done")
		r.pass(24 * time.Hour)
		r.expect("lamp set on=true done")
	})
}

// TestUntrustedClock: what goes by the time waits, and says so; what does not, works.
func TestUntrustedClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.clock.set(time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC))
		r.clock.trust(false)
		r.start(testWorld, nil,
			Rule{ID: "morning", At: []string{"00:05"}, Do: set("lamp", true)},
			Rule{ID: "night", Between: "22:00 and 06:00", Do: set("lamp", true)},
			Rule{ID: "often", Every: 10 * time.Minute, Do: &Do{Device: "lamp", Action: "pulse"}},
			Rule{ID: "fan", When: "air.temperature > 35", Do: set("fan", true)},
		)
		defer func() { r.stop() }()
		r.is(Scheduled, whyClock)
		r.measure("air.temperature", 36)
		r.expect("fan set on=true done")
		r.pass(10 * time.Minute)
		r.expect("fan safe since rule fan goes by what is not known: air.temperature is older than 5m0s", "lamp pulse done")
		if said := r.condition(ConditionWaiting); !strings.HasSuffix(said, "wait: morning, night") {
			t.Errorf("health says %q", said)
		}
		r.clock.set(timeOf(t, "2026-06-01T21:59:00Z"))
		r.clock.trust(true)
		r.pass(5 * time.Second)
		r.is(Scheduled, "")
		r.expect()
		if said := r.condition(ConditionWaiting); said != "" {
			t.Errorf("health says %q", said)
		}
		r.until("2026-06-01T22:00:00Z")
		r.expect("lamp set on=true done")
		r.until("2026-06-01T22:00:30Z")
		r.until("2026-06-02T00:05:00Z")
		r.mu.Lock()
		last := r.notes[len(r.notes)-1]
		r.notes = nil
		r.mu.Unlock()
		if last != "lamp set on=true done" {
			t.Errorf("last %s", last)
		}
	})
}

// TestEverySoOften: within the window from its beginning, elsewhere from the start.
func TestEverySoOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(testWorld, nil, Rule{ID: "flush", Every: 30 * time.Minute, Between: "14:10 and 15:30", When: "not door.open", MaxAge: 24 * time.Hour, Do: set("lamp", true)})
		defer func() { r.stop() }()
		r.measure("door.open", false)
		r.until("2026-06-01T14:10:00Z")
		r.expect("lamp set on=true done")
		r.until("2026-06-01T14:39:59Z")
		r.expect()
		r.measure("door.open", true)
		r.until("2026-06-01T14:40:00Z")
		r.expect() // the condition
		r.measure("door.open", false)
		r.until("2026-06-01T15:10:00Z")
		r.expect("lamp set on=true done")
		r.until("2026-06-02T11:00:00Z")
		r.expect()
	})
}

// TestConditionAtATime: what is not known by then waits until it is too late.
func TestConditionAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		rule := Rule{ID: "water", At: []string{"13:00"}, When: "air.temperature > 20", Do: set("lamp", true), CatchUp: 10 * time.Minute}
		r.start(testWorld, nil, rule)
		defer func() { r.stop() }()
		r.until("2026-06-01T13:05:00Z")
		r.is(Scheduled, "air.temperature has not come yet")
		r.measure("air.temperature", 25)
		r.expect("lamp set on=true done")
		r.until("2026-06-02T12:59:00Z")
		r.measure("air.temperature", 15)
		r.until("2026-06-02T13:20:00Z")
		r.expect()
		if s := r.engine.Status()[0]; s.Missed != 0 {
			t.Errorf("missed %d: %s", s.Missed, s.LastMissed)
		}
		r.until("2026-06-03T13:20:00Z")
		r.expect()
		if s := r.engine.Status()[0]; s.Missed != 1 || !strings.Contains(s.LastMissed, "air.temperature is older than 5m0s") {
			t.Errorf("missed %d: %s", s.Missed, s.LastMissed)
		}
	})
}

// TestClocksAreChanged: in the night in which clocks are set forward, what falls into
// the gap is done once, at its end; in that in which they are set back, each time is
// done once, too.
func TestClocksAreChanged(t *testing.T) {
	for _, c := range []struct {
		zone, noon    string
		fired, missed uint64
	}{
		{"Europe/Berlin", "2026-03-28T12:00:00+01:00", 3, 3},
		{"Europe/Berlin", "2026-10-24T12:00:00+02:00", 6, 0},
		{"America/New_York", "2026-03-07T12:00:00-05:00", 3, 3},
		{"America/New_York", "2026-10-31T12:00:00-04:00", 6, 0},
		{"Australia/Lord_Howe", "2026-10-03T12:00:00+10:30", 4, 2}, // by half an hour
		{"Australia/Lord_Howe", "2026-04-04T12:00:00+11:00", 6, 0},
		{"Asia/Tokyo", "2026-03-28T12:00:00+09:00", 6, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			world := testWorld
			world.Zone = zoneOf(t, c.zone)
			r.clock.set(timeOf(t, c.noon))
			r.start(world, nil, Rule{ID: "night", At: []string{"01:30", "01:45", "02:00", "02:15", "02:30", "03:00"}, Do: set("lamp", true)})
			defer func() { r.stop() }()
			r.pass(24 * time.Hour)
			s := r.engine.Status()[0]
			if s.Fired != c.fired || s.Missed != c.missed || len(r.ids) != int(c.fired) {
				t.Errorf("%s after %s: %d fired, %d missed (%s), commands %v", c.zone, c.noon, s.Fired, s.Missed, s.LastMissed, r.ids)
			}
		})
	}
}

// TestSunTimes: from a position that a receiver tells only after a while; and where
// there is no such time on a day.
func TestSunTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(testWorld, nil, Rule{ID: "lamp", At: []string{"sunset-15m"}, Do: set("lamp", true)})
		defer func() { r.stop() }()
		r.is(Scheduled, whyPosition)
		r.pass(time.Hour)
		r.mu.Lock()
		r.position = &Position{52.5, 13.4}
		r.mu.Unlock()
		r.pass(lookEvery)
		r.is(Scheduled, "")
		r.until("2026-06-01T19:02:00Z")
		r.expect()
		r.until("2026-06-01T19:05:00Z") // it sets at 21:19 summer time
		r.expect("lamp set on=true done")
		r.mu.Lock()
		r.position = &Position{52.5, 13.2} // it is a boat, and the sun sets later here
		r.mu.Unlock()
		r.until("2026-06-01T20:00:00Z")
		r.expect()
		r.mu.Lock()
		r.position = &Position{78.2, 15.6} // far in the north
		r.mu.Unlock()
		r.until("2026-06-02T20:00:00Z")
		r.expect()
		if s := r.engine.Status()[0]; !s.Next.IsZero() || s.Missed != 0 {
			t.Errorf("next %v, missed %d", s.Next, s.Missed)
		}
		for day := range 60 { // up to the end of August
			r.clock.set(timeOf(t, "2026-07-02T12:00:00Z").AddDate(0, 0, day))
			r.pass(time.Minute)
			r.clock.set(r.clock.Now().Add(8 * time.Hour))
			r.pass(3 * time.Hour)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if n := len(r.notes); n < 5 || n > 10 { // it sets again from about 24 August on
			t.Errorf("%d sunsets in August", n)
		}
		r.notes = nil
	})
}

// TestKilledBetweenCommandAndMemory: the same moment has the same command.
func TestKilledBetweenCommandAndMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		rule := Rule{ID: "noon", At: []string{"13:00"}, Do: set("lamp", true), CatchUp: time.Hour}
		r.start(testWorld, nil, rule)
		r.until("2026-06-01T12:30:00Z")
		before, _ := r.memory.Load()
		if !strings.Contains(string(before), `"13:00":"2026-05-31"`) {
			t.Fatalf("memory is %s", before)
		}
		r.until("2026-06-01T13:00:00Z")
		r.stop()
		r.expect("lamp set on=true done")
		if err := r.memory.Save(before); err != nil {
			t.Fatal(err)
		}
		r.start(testWorld, nil, rule)
		r.expect("lamp set on=true repeated")
		r.stop()
	})
}

// TestReload: what is not changed goes on; what is gone leaves its device safe.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		lamp := Rule{ID: "lamp", When: "air.temperature > 35", Do: set("lamp", true)}
		flush := Rule{ID: "flush", Every: 30 * time.Minute, Do: &Do{Device: "fan", Action: "pulse"}}
		r.start(testWorld, nil, fan, lamp, flush)
		r.measure("air.temperature", 36)
		r.expect("lamp set on=true done", "fan set on=false done")
		r.pass(time.Minute)
		r.stop()
		r.start(testWorld, r.engine, fan, flush)
		r.expect("lamp safe since rule lamp, which has moved it, is not in the config any more")
		r.is(Pending, "")
		r.measure("air.temperature", 36)
		r.pass(time.Minute)
		r.expect("alert fan true map[air.temperature:36]", "fan set on=true done")
		changed := fan
		changed.Do = &Do{Device: "fan", Action: "set", Args: map[string]gateway.Value{"on": gateway.Bool(true)}}
		changed.Until = "air.temperature < 30"
		r.stop()
		r.start(testWorld, r.engine, changed, flush)
		r.expect("fan set on=true done") // anew
		r.measure("air.temperature", 31)
		r.is(On, "")
		r.pass(4 * time.Minute)
		r.measure("air.temperature", 31)
		r.pass(4 * time.Minute)
		r.measure("air.temperature", 29)
		r.expect("alert fan false map[air.temperature:29]", "fan set on=false done")
		for range 5 {
			r.pass(4 * time.Minute)
			r.measure("air.temperature", 29)
		}
		r.expect("fan pulse done") // 30 minutes after the first start
		r.stop()
	})
}

// TestReloadBeforeARuleIsObeyed, or with another device: the command is given anew.
func TestReloadBeforeARuleIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		rule := fan
		rule.For, rule.Alert = 0, ""
		r.start(testWorld, nil, rule)
		r.refuse = func(gateway.Command) (gateway.Status, string) { return gateway.StatusDenied, "no" }
		r.measure("air.temperature", 36)
		r.expect("fan set on=true denied")
		r.stop()
		r.refuse = nil
		r.start(testWorld, r.engine, rule)
		r.expect("fan set on=true done")
		r.stop()
		r.start(testWorld, r.engine, rule)
		r.expect()
		r.stop()
		r.reopened = "fan"
		r.start(testWorld, r.engine, rule)
		r.expect("fan set on=true done")
		r.stop()
	})
}

// TestReloadWhileACommandIsTriedAgain: it goes on, also for a moment that does not come
// again, and an action that must not be done twice.
func TestReloadWhileACommandIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		noon := Rule{ID: "noon", At: []string{"13:00"}, CatchUp: time.Hour, Do: set("lamp", true)}
		wet := Rule{ID: "wet", When: "door.open", IfSilent: "keep", Do: &Do{Device: "fan", Action: "pulse"}}
		r.start(testWorld, nil, noon, wet)
		r.until("2026-06-01T12:59:59Z")
		r.refuse = func(gateway.Command) (gateway.Status, string) { return gateway.StatusDenied, "no" }
		r.measure("door.open", true)
		r.until("2026-06-01T13:00:15Z")
		r.expect("lamp set on=true denied", "lamp set on=true denied", "fan pulse denied", "fan pulse denied")
		r.stop()
		r.refuse = nil
		r.start(testWorld, r.engine, noon, wet)
		r.expect("lamp set on=true done", "fan pulse done")
		r.pass(time.Hour)
		r.stop()
		r.start(testWorld, r.engine, noon, wet)
		r.pass(time.Hour)
		r.expect()
		r.stop()
		if s := r.engine.Status()[0]; s.Missed != 0 {
			t.Errorf("missed %d: %s", s.Missed, s.LastMissed)
		}
	})
}
