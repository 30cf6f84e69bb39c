package rules

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/latest"
)

// wall is a clock that can be set.
type wall struct {
	mu      sync.Mutex
	ahead   time.Duration
	unknown bool
}

func (w *wall) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead).Round(0).UTC()
}

func (w *wall) Trusted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.unknown
}

func (w *wall) Uptime() time.Duration { return time.Since(time.Unix(0, 0)) }
func (w *wall) Boot() string          { return "b007b007-0000-0000-0000-000000000000" }

func (w *wall) set(to time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead = time.Until(to)
}

func (w *wall) trust(trusted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unknown = !trusted
}

// rig is an engine with doubles of all that it moves. What happens is noted.
type rig struct {
	t        *testing.T
	clock    *wall
	board    *latest.Board
	health   *health.Board
	memory   *cell
	log      strings.Builder
	position *Position
	engine   *Engine
	stop     func()

	mu    sync.Mutex
	notes []string
	ids   []string
	// resting is a device that is in its safe state already.
	resting gateway.DeviceID
	// reopened is a device that does not stay at work in a reload.
	reopened gateway.DeviceID
	// refuse makes commands end otherwise than done.
	refuse func(cmd gateway.Command) (gateway.Status, string)
}

// cell is a memory, without a card.
type cell struct {
	mu    sync.Mutex
	data  []byte
	saves int
}

func (c *cell) Load() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.data), nil
}

func (c *cell) Save(data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.data, c.saves = slices.Clone(data), c.saves+1
	return nil
}

var testWorld = World{
	Devices: map[gateway.DeviceID]Device{
		"air":  {Quantities: map[string]gateway.Value{"temperature": gateway.Number(0), "mode": gateway.Text("")}},
		"door": {Quantities: map[string]gateway.Value{"open": gateway.Bool(false)}},
		"fan":  testActuator("on"), "lamp": testActuator("on"), "unsafe": testActuator("on"), "gps": {},
	},
	Zone: time.UTC, Positioned: true,
}

func testActuator(sets string) Device {
	return Device{
		Quantities: map[string]gateway.Value{sets: gateway.Bool(false)}, Commanded: true,
		Actions: []gateway.Action{
			{Name: "set", Idempotent: true, Args: []gateway.Arg{{Name: "on", Type: gateway.ArgBool, Required: true}}},
			{Name: "pulse"},
		},
		Sets: func(gateway.Command) []string { return []string{sets} },
	}
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, clock: &wall{}, board: latest.NewBoard(), health: health.NewBoard(slog.New(slog.DiscardHandler)), memory: &cell{}}
	r.clock.set(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC))
	return r
}

// start runs an engine with rules, and what an earlier one knows.
func (r *rig) start(world World, former *Engine, rules ...Rule) {
	r.t.Helper()
	set, err := Compile(rules, world)
	if err != nil {
		r.t.Fatal(err)
	}
	r.engine, err = NewEngine(Options{
		Set: set, Board: r.board, Clock: r.clock, Commands: r, Safety: r, Alerts: r, Memory: r.memory, Self: "gateway",
		Actions:  func(id gateway.DeviceID) []gateway.Action { return world.Devices[id].Actions },
		Position: r.where, Health: r.health, Log: slog.New(slog.NewTextHandler(&locked{r}, nil)),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if former != nil {
		r.engine.Inherit(former, func(id gateway.DeviceID) ([]gateway.DeviceID, bool) {
			if id == r.reopened {
				return nil, false
			}
			return []gateway.DeviceID{id}, true
		})
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.engine.Run(ctx); err != nil {
			r.t.Error(err)
		}
	}()
	r.stop = func() { cancel(); <-done }
	synctest.Wait()
}

type locked struct{ r *rig }

func (l *locked) Write(p []byte) (int, error) {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	return l.r.log.Write(p)
}

func (r *rig) where() (Position, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.position == nil {
		return Position{}, false
	}
	return *r.position, true
}

func (r *rig) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// Do implements Commander.
func (r *rig) Do(_ context.Context, cmd gateway.Command) (gateway.Result, error) {
	r.mu.Lock()
	refuse := r.refuse
	repeated := slices.Contains(r.ids, cmd.ID)
	r.ids = append(r.ids, cmd.ID)
	r.mu.Unlock()
	result := gateway.Result{CommandID: cmd.ID, Status: gateway.StatusDone, Repeated: repeated}
	if refuse != nil {
		status, detail := refuse(cmd)
		if status == "" {
			return gateway.Result{}, errors.New(detail)
		}
		result.Status, result.Detail = status, detail
	}
	var args []string
	for _, name := range slices.Sorted(maps.Keys(cmd.Args)) {
		args = append(args, fmt.Sprintf(" %s=%v", name, cmd.Args[name]))
	}
	word := string(result.Status)
	if repeated {
		word = "repeated"
	}
	r.note("%s %s%s %s", cmd.Device, cmd.Action, strings.Join(args, ""), word)
	if cmd.Origin != gateway.OriginRule {
		r.t.Errorf("origin %s", cmd.Origin)
	}
	return result, nil
}

// Safe implements Safer.
func (r *rig) Safe(device gateway.DeviceID, why string) error {
	if device == "unsafe" {
		return fmt.Errorf("device %s has no safe state: %w", device, gateway.ErrUnknown)
	}
	r.note("%s safe since %s", device, why)
	return nil
}

// Resting implements Safer.
func (r *rig) Resting(device gateway.DeviceID) bool { return device == r.resting }

// Alert implements Alerter.
func (r *rig) Alert(_ context.Context, a gateway.Alert, stored func()) error {
	r.note("alert %s %v %v", a.ID, a.Active, a.Values)
	go stored()
	return nil
}

// measure puts a value on the board.
func (r *rig) measure(name string, v any) {
	r.t.Helper()
	device, quantity, _ := strings.Cut(name, ".")
	reading := gateway.Reading{Device: gateway.DeviceID(device), Name: quantity, Quality: gateway.Good}
	switch v := v.(type) {
	case float64:
		reading.Value = gateway.Number(v)
	case int:
		reading.Value = gateway.Number(float64(v))
	case bool:
		reading.Value = gateway.Bool(v)
	case string:
		reading.Value = gateway.Text(v)
	case nil:
		reading.Quality = gateway.Bad
	}
	r.board.Put(reading)
	synctest.Wait()
}

// pass lets time pass.
func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// until lets time pass to a moment of the clock.
func (r *rig) until(text string) {
	r.t.Helper()
	r.pass(timeOf(r.t, text).Sub(r.clock.Now()))
}

// expect compares what has happened since it was last called, in order for each
// device; which of two goroutines comes first does not matter.
func (r *rig) expect(want ...string) {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, list := range [][]string{r.notes, want} {
		slices.SortStableFunc(list, func(a, b string) int { return strings.Compare(firstWord(a), firstWord(b)) })
	}
	if got := r.notes; !slices.Equal(got, want) {
		r.t.Errorf("at %v:\n got %q\nwant %q", r.clock.Now(), got, want)
	}
	r.notes = nil
}

func firstWord(note string) string {
	word, _, _ := strings.Cut(note, " ")
	return word
}

// is compares the state of the first rule, and why it is unknown.
func (r *rig) is(state State, unknown string) {
	r.t.Helper()
	synctest.Wait()
	s := r.engine.Status()[0]
	if s.State != state || s.Unknown != unknown {
		r.t.Errorf("at %v: %s, unknown %q; want %s, %q", r.clock.Now(), s.State, s.Unknown, state, unknown)
	}
}

func (r *rig) condition(code string) string {
	for _, c := range r.health.Conditions() {
		if c.Code == code {
			return c.Summary
		}
	}
	return ""
}

func set(device string, on bool) *Do {
	return &Do{Device: device, Action: "set", Args: map[string]gateway.Value{"on": gateway.Bool(on)}}
}

var fan = Rule{
	ID: "fan", When: "air.temperature > 35", For: 2 * time.Minute, Until: "air.temperature < 33",
	Do: set("fan", true), Otherwise: set("fan", false), Alert: "Too hot.",
}
