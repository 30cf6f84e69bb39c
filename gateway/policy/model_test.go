package policy

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fieldpost/fieldpost/gateway"
)

// The plant of the model: a pump that needs a valve and a level, a heater that needs
// the pump, and a motor that must not turn both ways at once.
var modelConfigs = map[gateway.DeviceID]Terms{
	"valve":    {SafeAfter: SafeAfter{Silence: 40 * time.Second}, MaxCommands: &Budget{Count: 20, Per: time.Minute}},
	"pump":     {OnlyWhile: "valve.on and tank.level > 10", OnlyWhileMaxAge: 30 * time.Second, MinOn: 3 * time.Second, MinOff: 5 * time.Second, MaxOn: time.Minute},
	"heater":   {OnlyWhile: "pump.on", SafeAfter: SafeAfter{LinkLost: 20 * time.Second}, Allow: []string{"hub", "rule"}},
	"forward":  {OnlyWhile: "not backward.on", MinOff: 2 * time.Second},
	"backward": {OnlyWhile: "not forward.on", MaxOn: 30 * time.Second},
}

// forbidden are the combinations that the conditions forbid, as long as both can be
// reached.
var forbidden = []struct {
	a, b gateway.DeviceID
	when func(on map[string]bool) bool
}{
	{"pump", "valve", func(on map[string]bool) bool { return on["pump"] && !on["valve"] }},
	{"heater", "pump", func(on map[string]bool) bool { return on["heater"] && !on["pump"] }},
	{"forward", "backward", func(on map[string]bool) bool { return on["forward"] && on["backward"] }},
}

// slowest is how long a relay of the model takes at most; a safe state waits for those
// of dependents, and is taken twice. settled is when everything
// has come to rest after the last event: a cut command, its end, and a safe state, for
// each of a chain of three.
const (
	slowest = 800 * time.Millisecond
	settled = 10 * time.Second
)

type modelStep struct {
	kind   string
	device gateway.DeviceID
	action string
	origin gateway.Origin
	length time.Duration
	level  float64
	on     bool
}

func drawPlan(t *rapid.T) []modelStep {
	length := rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.IntRange(1, 9000).Draw(t, "ms")) * time.Millisecond
	})
	devices := []gateway.DeviceID{"valve", "pump", "heater", "forward", "backward"}
	step := rapid.Custom(func(t *rapid.T) modelStep {
		return modelStep{
			kind: rapid.SampledFrom([]string{
				"command", "command", "command", "command", "command", "command", "command", "command", "sleep", "sleep", "measure",
				"work", "work", "work", "settle", "lose", "fail", "safe", "link", "override", "release", "slow", "restart", "reload",
			}).Draw(t, "kind"),
			device: rapid.SampledFrom(devices).Draw(t, "device"),
			action: rapid.SampledFrom([]string{"on", "on", "on", "off", "set", "pulse"}).Draw(t, "action"),
			origin: rapid.SampledFrom([]gateway.Origin{gateway.OriginC2D, gateway.OriginLocal, gateway.OriginRule, gateway.OriginDesired}).Draw(t, "origin"),
			length: length.Draw(t, "length"),
			level:  rapid.SampledFrom([]float64{5, 15, 15, 15}).Draw(t, "level"),
			on:     rapid.Bool().Draw(t, "on"),
		}
	})
	return rapid.SliceOfN(step, 10, 80).Draw(t, "plan")
}

// model runs a plan and collects what must not be.
type model struct {
	*rig
	workers map[gateway.DeviceID]chan modelStep
	working sync.WaitGroup

	mu      sync.Mutex
	faults  []string
	carried map[string]int // commands, by device and action
	level   float64
	came    time.Time
	changed map[string]time.Time
	failed  map[string]time.Time // when it did not work last
}

func (m *model) fault(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = append(m.faults, fmt.Sprintf(format, args...))
}

// sound tells whether a relay can be reached and works.
func (r *relay) sound() bool { return r.there && r.fail == nil }

// watch looks at each change of the hardware. The relay that changes holds its own
// lock; the others do not change in between that matters.
func (m *model) watch(on map[string]bool, id string) {
	now := time.Now()
	was := m.changed[id]
	m.changed[id] = now
	c := modelConfigs[gateway.DeviceID(id)]
	if on[id] && now.Sub(was) < c.MinOff {
		m.fault("%s is on after %v off, min_off is %v", id, now.Sub(was), c.MinOff)
	}
	if !on[id] && c.MaxOn > 0 && now.Sub(was) > c.MaxOn+6*slowest && now.Sub(m.failed[id]) > settled {
		m.fault("%s was on for %v, max_on is %v", id, now.Sub(was), c.MaxOn)
	}
	for _, f := range forbidden {
		if f.when(on) && m.reachable(f.a, id) && m.reachable(f.b, id) {
			m.fault("%s changed to %t, and now: %v", id, on[id], on)
		}
	}
}

func (m *model) reachable(id gateway.DeviceID, changing string) bool {
	dev := m.relays[id]
	if time.Since(m.failed[string(id)]) < retrySafe+2*slowest { // its safe state is owed
		return false
	}
	if string(id) == changing { // its lock is held
		return dev.sound()
	}
	dev.mu.Lock()
	defer dev.mu.Unlock()
	return dev.sound()
}

// worker carries out the commands of a device in order, as the dispatcher does.
func (m *model) worker(id gateway.DeviceID, steps <-chan modelStep) {
	for s := range steps {
		args := map[string]any{}
		switch s.action {
		case "set":
			args["on"] = s.on
		case "pulse":
			args["ms"] = float64(s.length.Milliseconds())
		}
		for _, a := range Narrow(m.relays[id], modelConfigs[id]).Actions() {
			if a.Name == s.action && a.Check(args) == nil {
				before := m.relays[id].isOn()
				err := m.command(s.origin, id, s.action, args)
				m.judge(s, before, err)
			}
		}
	}
}

// judge: who may not is denied, and what is denied changes nothing by itself.
func (m *model) judge(s modelStep, _ bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.device == "heater" && s.origin == gateway.OriginLocal && !errors.Is(err, gateway.ErrDenied) && err != nil {
		m.faults = append(m.faults, fmt.Sprintf("the heater takes a local command: %v", err))
	}
	if err == nil {
		m.carried[string(s.device)+" "+s.action]++
	}
}

func (m *model) begin() {
	m.workers = make(map[gateway.DeviceID]chan modelStep)
	for id := range m.relays {
		steps := make(chan modelStep, 1000)
		m.workers[id] = steps
		m.working.Go(func() { m.worker(id, steps) })
	}
}

func (m *model) finish() {
	for _, steps := range m.workers {
		close(steps)
	}
	m.working.Wait()
}

func (m *model) step(s modelStep) {
	dev := m.relays[s.device]
	switch s.kind {
	case "command":
		m.workers[s.device] <- s
	case "sleep":
		time.Sleep(s.length)
	case "settle":
		m.finish()
		time.Sleep(settled)
		m.look()
		m.begin()
	case "measure":
		m.fill(s.level)
	case "work": // everything is switched on, and may be under way in the next step
		m.fill(15)
		time.Sleep(6 * time.Second)
		for _, id := range []gateway.DeviceID{"valve", "pump", "heater", s.device} {
			m.workers[id] <- modelStep{kind: "command", device: id, action: "on", origin: gateway.OriginC2D}
			time.Sleep(s.length % (2 * slowest))
		}
	case "lose": // and found, in its safe state, when there was time to make others safe
		dev.change(func(r *relay) { r.there = false })
		m.Changed()
		time.Sleep(settled)
		dev.change(func(r *relay) {
			r.there, r.fail, r.known = true, nil, true
			m.plant.mu.Lock()
			m.changed[r.id] = time.Now()
			m.plant.on[r.id] = false
			m.plant.mu.Unlock()
			r.on = false
		})
		m.Changed()
	case "fail":
		dev.change(func(r *relay) { r.fail = errors.New("it does not work") })
		time.Sleep(s.length)
		dev.change(func(r *relay) {
			r.fail = nil
			m.plant.mu.Lock()
			m.failed[r.id] = time.Now()
			m.plant.mu.Unlock()
		})
		m.finish()
		time.Sleep(settled) // until the safe state is taken
		m.begin()
	case "safe":
		if err := m.Safe(s.device, "the model wants it"); err != nil {
			m.fault("%v", err)
		}
	case "link":
		m.link(s.on)
	case "override":
		if err := m.Override(s.device, s.length); err != nil {
			m.fault("%v", err)
		}
	case "release":
		if err := m.Release(s.device); err != nil {
			m.fault("%v", err)
		}
	case "slow":
		dev.change(func(r *relay) { r.takes = s.length % slowest })
	case "restart", "reload":
		m.again(s.kind == "restart")
	}
}

func (m *model) fill(level float64) {
	m.mu.Lock()
	m.level, m.came = level, time.Now()
	m.mu.Unlock()
	m.measure(level)
}

// again stops the policy and begins a new one: with the outputs in their safe state,
// or as they are.
func (m *model) again(restart bool) {
	m.finish()
	old := m.Policy
	m.stop()
	if restart {
		old.Rest()
		for _, dev := range m.relays {
			_ = dev.Safe(m.t.Context())
		}
		m.watchOff()
	}
	p, err := New(m.opts)
	if err != nil {
		m.fault("%v", err)
		return
	}
	if !restart {
		p.Inherit(old, all)
	}
	m.run(p)
	m.begin()
}

// watchOff: after a start nobody knows for how long anything has been off.
func (m *model) watchOff() {
	m.plant.mu.Lock()
	defer m.plant.mu.Unlock()
	for id := range m.relays {
		m.changed[string(id)] = time.Now()
	}
}

// look judges a plant at rest, by what readings say.
func (m *model) look() {
	m.mu.Lock()
	level, age := m.level, time.Since(m.came)
	m.mu.Unlock()
	if m.relays["pump"].isOn() && (level <= 10 || age > 30*time.Second+3*slowest) {
		m.fault("the pump is on with the level %v of %v ago", level, age)
	}
	for id, dev := range m.relays {
		c := modelConfigs[id]
		m.plant.mu.Lock()
		on := time.Since(m.changed[string(id)])
		m.plant.mu.Unlock()
		if dev.isOn() && c.MaxOn > 0 && on > c.MaxOn+6*slowest {
			m.fault("%s has been on for %v, max_on is %v", id, on, c.MaxOn)
		}
	}
}

// TestModel: no sequence of commands, readings, losses, faults, overrides and
// restarts brings about what the conditions forbid, or breaks the times.
func TestModel(t *testing.T) {
	carried := make(map[string]int)
	rapid.Check(t, func(rt *rapid.T) {
		plan := drawPlan(rt)
		var m *model
		synctest.Test(t, func(t *testing.T) {
			m = &model{rig: newRig(t, modelConfigs), changed: make(map[string]time.Time), failed: make(map[string]time.Time), carried: make(map[string]int)}
			m.watchOff()
			m.plant.mu.Lock()
			m.plant.watch = m.watch
			m.plant.mu.Unlock()
			m.begin()
			for _, dev := range m.relays { // slow from the start, so that commands overlap
				dev.takes = plan[0].length % slowest
			}
			for _, s := range plan {
				m.step(s)
			}
			m.finish()
			time.Sleep(settled)
			m.look()
			m.stop()
		})
		for what, n := range m.carried {
			carried[what] += n
		}
		if len(m.faults) > 0 {
			rt.Fatalf("%v\nchanges: %v", m.faults[0], m.plant.history)
		}
	})
	for id := range modelConfigs {
		if carried[string(id)+" on"] < 20 {
			t.Errorf("the model tries too little: %v", carried)
		}
	}
}
