package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestMachineModel: whatever is known and whenever, a rule begins only when it may,
// ends at once when it must, and begins as soon as nothing speaks against it.
func TestMachineModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := machine{
			holdFor:      rapid.SampledFrom([]time.Duration{0, 5 * time.Second, time.Minute}).Draw(t, "for"),
			minInterval:  rapid.SampledFrom([]time.Duration{time.Second, 20 * time.Second, 5 * time.Minute}).Draw(t, "min_interval"),
			maxPerMinute: rapid.IntRange(1, 4).Draw(t, "max_per_minute"),
		}
		now := time.Unix(1e9, 0)
		var begins []time.Time
		var held, free time.Time // since when it is to begin; until when it is suspended
		on := false
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(rapid.SampledFrom([]time.Duration{0, time.Second, 7 * time.Second, 30 * time.Second, 4 * time.Minute}).Draw(t, "pass"))
			verdicts := rapid.SampledFrom([]verdict{unknown, no, yes})
			begin, end := verdicts.Draw(t, "begins"), verdicts.Draw(t, "ends")
			switch {
			case on || begin == no:
				held = time.Time{}
			case begin == yes && held.IsZero():
				held = now
			}
			lately := slices.DeleteFunc(slices.Clone(begins), func(at time.Time) bool { return now.Sub(at) >= time.Minute || !at.After(free.Add(-suspension)) })
			may := !on && begin == yes && now.Sub(held) >= m.holdFor && !now.Before(free) &&
				(len(begins) == 0 || now.Sub(begins[len(begins)-1]) >= m.minInterval)
			want := unchanged
			switch {
			case on && end == yes:
				want, on = ended, false
			case may && len(lately) >= m.maxPerMinute:
				want, free = suspended, now.Add(suspension)
			case may:
				want, on, begins = began, true, append(begins, now)
			}
			if got := m.step(begin, end, now); got != want || m.on != on {
				t.Fatalf("%v after %v at %v: %v, on %v; want %v, %v", begin, held, now, got, m.on, want, on)
			}
			if want == began {
				held = time.Time{}
			}
			if due := m.due(); !due.IsZero() && !due.After(now) {
				t.Fatalf("due %v ago and not begun", now.Sub(due))
			}
		}
	})
}

// happening is one thing that a test does to an engine.
type happening struct {
	kind  int
	value float64
	pass  time.Duration
}

// TestEngineModel: values that come, turn bad or stay away, restarts, reloads, steps of
// the clock and a time that nobody knows, in any order. Alerts begin and end in turn;
// the device is as the rule says whenever that is known; no time of day comes twice on
// a date, and none is carried out too late.
func TestEngineModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var all []happening
		for range rapid.IntRange(5, 60).Draw(rt, "happenings") {
			all = append(all, happening{
				kind:  rapid.IntRange(0, 9).Draw(rt, "kind"),
				value: rapid.SampledFrom([]float64{20, 32, 34, 36}).Draw(rt, "value"),
				pass:  rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute, 4 * time.Minute, 6 * time.Minute, 50 * time.Minute}).Draw(rt, "pass"),
			})
		}
		fault := ""
		synctest.Test(t, func(t *testing.T) { fault = liveThrough(t, all) })
		if fault != "" {
			rt.Fatal(fault)
		}
	})
}

// liveThrough lives through it and returns what is wrong.
func liveThrough(t *testing.T, all []happening) string {
	r := newRig(t)
	rule := fan
	rule.For = 0
	clock := Rule{ID: "clock", At: []string{"06:30", "18:00"}, CatchUp: 2 * time.Minute, Do: set("lamp", true)}
	r.start(testWorld, nil, rule, clock)
	defer func() { r.stop() }()
	began, at := time.Now(), r.clock.Now()
	right := func() time.Time { return at.Add(time.Since(began)) }
	for i, h := range all {
		switch h.kind {
		case 0, 1, 2, 3:
			r.measure("air.temperature", h.value)
		case 4:
			r.measure("air.temperature", nil)
		case 5: // the gateway is off for a while
			r.stop()
			r.board.Forget("air")
			r.pass(h.pass + time.Second) // no start is quicker
			r.note("fan off")
			r.start(testWorld, nil, rule, clock)
		case 6: // reload
			r.stop()
			r.start(testWorld, r.engine, rule, clock)
		case 7:
			r.clock.set(right().Add(time.Duration(h.value-30) * time.Hour)) // -10 h … 6 h
		case 8:
			r.clock.trust(h.value > 32)
		case 9: // shortly before one of its times
			r.clock.set(dateOf(right()).at(6*time.Hour+29*time.Minute+30*time.Second, time.UTC))
		}
		r.pass(h.pass)
		if fault := r.consistent(); fault != "" {
			return fmt.Sprintf("after %+v: %s\n%q", all[:i+1], fault, r.notes)
		}
	}
	return ""
}

// consistent finds what must not be in what has happened so far.
func (r *rig) consistent() string {
	s := r.engine.Status()[0]
	r.mu.Lock()
	defer r.mu.Unlock()
	isOn, alert := false, false
	times := make(map[string]bool)
	for _, note := range r.notes {
		switch {
		case strings.HasPrefix(note, "alert fan "):
			begins := strings.HasPrefix(note, "alert fan true")
			if begins == alert {
				return "told twice: " + note
			}
			alert = begins
		case strings.HasPrefix(note, "fan "):
			isOn = note == "fan set on=true done"
		case strings.HasSuffix(note, "repeated"):
			return "a time has come twice: " + note
		}
	}
	for _, id := range r.ids {
		if date, isTime := strings.CutPrefix(id, "rule-clock-"); isTime {
			if times[date] {
				return "a time has come twice: " + id
			}
			times[date] = true
		}
	}
	on := s.State == On
	switch {
	case on != alert:
		return fmt.Sprintf("the rule is %s, and the alert %v", s.State, alert)
	case s.Unknown == "" && isOn != on:
		return fmt.Sprintf("the rule is %s, and the fan %v", s.State, isOn)
	case strings.Contains(s.Unknown, "older than") && isOn:
		return "the fan is on although nobody knows why"
	}
	return ""
}
