package scene_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/command"
	"github.com/fieldpost/fieldpost/gateway/latest"
	"github.com/fieldpost/fieldpost/gateway/scene"
)

var errCrash = errors.New("the power is gone")

// disk is a journal and the memories of scenes, which outlive the gateways that a
// test runs on it. Each write is a numbered step: at step crashAt the power fails,
// before the write or, if crashLate, right after it; then nothing works until it
// returns.
type disk struct {
	mu        sync.Mutex
	entries   []gateway.Entry
	memories  map[string][]byte
	step      int
	crashAt   int
	crashLate bool
	dead      bool
	onCrash   func()
}

func (d *disk) write(ctx context.Context, change func()) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errCrash
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	d.step++
	if d.step != d.crashAt {
		change()
		return nil
	}
	d.dead = true
	d.onCrash()
	if d.crashLate {
		change()
	}
	return errCrash
}

// entry is what is on the disk of a command.
func (d *disk) entry(id string) (e gateway.Entry, i int) {
	i = slices.IndexFunc(d.entries, func(e gateway.Entry) bool { return e.Command.ID == id })
	if i >= 0 {
		data, _ := json.Marshal(d.entries[i])
		if err := json.Unmarshal(data, &e); err != nil {
			panic(err)
		}
	}
	return e, i
}

func (d *disk) Begin(ctx context.Context, cmd gateway.Command) (gateway.Entry, bool, error) {
	d.mu.Lock()
	old, i := d.entry(cmd.ID)
	dead := d.dead
	d.mu.Unlock()
	if i >= 0 && !dead {
		return old, false, nil
	}
	err := d.write(ctx, func() { d.entries = append(d.entries, gateway.Entry{Command: cmd}) })
	return gateway.Entry{Command: cmd}, err == nil, err
}

func (d *disk) Start(ctx context.Context, id string) error {
	return d.write(ctx, func() { _, i := d.entry(id); d.entries[i].Started = true })
}

func (d *disk) Finish(ctx context.Context, r gateway.Result, _ ...gateway.Message) error {
	return d.write(ctx, func() {
		e, i := d.entry(r.CommandID)
		if e.Result != nil {
			panic("a second final state for " + r.CommandID)
		}
		d.entries[i].Result = &r
	})
}

func (d *disk) Entry(_ context.Context, id string) (gateway.Entry, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return gateway.Entry{}, false, errCrash
	}
	e, i := d.entry(id)
	return e, i >= 0, nil
}

func (d *disk) Pending(_ context.Context, visit func(gateway.Entry)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.entries {
		if one, _ := d.entry(e.Command.ID); one.Result == nil {
			visit(one)
		}
	}
	return nil
}

func (d *disk) Append(context.Context, ...gateway.Message) ([]gateway.MessageID, error) {
	return nil, nil
}

// memory is that of one scene.
type memory struct {
	*disk
	id string
}

func (m memory) Load() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.memories[m.id], nil
}

func (m memory) Save(data []byte) error {
	if len(data) > 4<<10 {
		return fmt.Errorf("%d bytes are too much", len(data))
	}
	return m.write(context.Background(), func() { m.memories[m.id] = data })
}

// wall is the bubble's clock, which may be untrusted.
type wall struct {
	untrusted bool
	// boots counts the starts of the board, the last one was at up.
	boots int
	up    time.Time
}

func (*wall) Now() time.Time          { return time.Now().UTC() }
func (w *wall) Trusted() bool         { return !w.untrusted }
func (w *wall) Uptime() time.Duration { return time.Since(w.up) }
func (w *wall) Boot() string          { return fmt.Sprint("boot ", w.boots) }

// reboot starts the board anew.
func (w *wall) reboot() { w.boots, w.up = w.boots+1, time.Now() }

// deed is something that a device has done.
type deed struct {
	id     string
	device gateway.DeviceID
	args   map[string]any
	at     time.Time
}

// machine is a device: "set" is idempotent, "pulse" is not, "fail" fails.
type machine struct {
	*rig
	id gateway.DeviceID
}

func (machine) Actions() []gateway.Action {
	most := 100.0
	return []gateway.Action{
		{Name: "set", Idempotent: true, Args: []gateway.Arg{{Name: "level", Type: gateway.ArgNumber, Max: &most}}},
		{Name: "pulse", Timeout: 20 * time.Second},
		{Name: "fail"},
	}
}

// Do takes a second, in the middle of which something moves.
func (m machine) Do(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	if m.stuck == m.id {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	time.Sleep(time.Second / 2)
	m.mu.Lock()
	dead := m.disk.dead
	if !dead && cmd.Action != "fail" {
		m.deeds = append(m.deeds, deed{cmd.ID, m.id, cmd.Args, time.Now()})
	}
	m.mu.Unlock()
	time.Sleep(time.Second / 2)
	if cmd.Action == "fail" || dead {
		return nil, errors.New("jammed")
	}
	return nil, nil
}

// rig is a gateway with three machines, on a disk.
type rig struct {
	t     testing.TB
	disk  *disk
	clock *wall
	board *latest.Board
	stuck gateway.DeviceID
	*command.Dispatcher
	inbox *command.Inbox
	stop  context.CancelFunc
	ended chan error

	mu    *sync.Mutex
	deeds []deed
}

var machines = []gateway.DeviceID{"a", "b", "c"}

func newRig(t testing.TB) *rig {
	d := &disk{memories: make(map[string][]byte)}
	return &rig{t: t, disk: d, mu: &d.mu, clock: &wall{up: time.Now()}, board: latest.NewBoard()}
}

func (r *rig) known() scene.Known {
	k := scene.Known{
		Devices: append([]gateway.DeviceID{"tank"}, machines...), Actions: make(map[gateway.DeviceID][]gateway.Action),
		Quantities: map[gateway.DeviceID]map[string]gateway.Value{"tank": {"level": gateway.Number(0), "open": gateway.Bool(false)}},
	}
	for _, id := range machines {
		k.Actions[id] = machine{}.Actions()
	}
	return k
}

// start starts a gateway, as after a start of the board.
func (r *rig) start(c scene.Config) {
	r.t.Helper()
	all := make(map[gateway.DeviceID]gateway.Actuator)
	for _, id := range machines {
		all[id] = machine{r, id}
	}
	set, err := scene.New(scene.Options{
		Config: c, Devices: append([]gateway.DeviceID{"tank"}, machines...), Latest: r.board, Clock: r.clock, Timeout: 10 * time.Second,
		Actions: func(gateway.DeviceID) []gateway.Action { return machine{}.Actions() },
		Outputs: func(id gateway.DeviceID) map[string]gateway.Value {
			return map[gateway.DeviceID]map[string]gateway.Value{"b": {"on": gateway.Bool(true)}}[id]
		},
		Memory: func(id string) gateway.Memory { return memory{r.disk, id} },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	for id, a := range set.Actuators() {
		all[id] = a
	}
	r.Dispatcher, err = command.NewDispatcher(command.Options{Journal: r.disk, Queue: r.disk, Clock: r.clock, Devices: command.Devices{Actuators: all}})
	if err != nil {
		r.t.Fatal(err)
	}
	set.Connect(r.Dispatcher)
	r.inbox, r.ended = command.NewInbox(r.Dispatcher), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	r.disk.mu.Lock()
	r.disk.dead, r.disk.step, r.disk.onCrash = false, 0, cancel
	r.disk.mu.Unlock()
	go func() { r.ended <- r.Run(ctx) }()
}

func (r *rig) halt() {
	r.t.Helper()
	r.stop()
	if err := <-r.ended; err != nil {
		r.t.Errorf("Run: %v", err)
	}
}

// accept takes a command in, as from the hub.
func (r *rig) accept(id string, device gateway.DeviceID, action string) {
	r.t.Helper()
	err := r.inbox.Accept(context.Background(), gateway.Command{ID: id, Device: device, Action: action, Origin: gateway.OriginC2D, Received: r.clock.Now()})
	if err != nil {
		r.t.Fatal(err)
	}
}

// result waits for the final state of a command; nil if the power fails before.
func (r *rig) result(id string) *gateway.Result {
	for range 36000 {
		synctest.Wait()
		r.disk.mu.Lock()
		e, _ := r.disk.entry(id)
		dead := r.disk.dead
		r.disk.mu.Unlock()
		if e.Result != nil || dead {
			return e.Result
		}
		time.Sleep(100 * time.Millisecond)
	}
	r.t.Errorf("%s has no final state", id)
	return nil
}

// did lists what was done, as <id>@<device>.
func (r *rig) did() (list []string) {
	for _, d := range r.deeds {
		list = append(list, d.id+"@"+string(d.device))
	}
	return list
}

// parts are those that a result tells of.
func parts(t testing.TB, r *gateway.Result, key string) (list []scene.Part) {
	t.Helper()
	data, err := json.Marshal(r.Values[key])
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// statuses are those of parts, in order.
func statuses(parts []scene.Part) (list []string) {
	for _, p := range parts {
		list = append(list, string(p.Status))
	}
	return list
}

// bubble runs a test on a rig in virtual time.
func bubble(t *testing.T, c scene.Config, body func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		if err := scene.Check(c, r.known()); err != nil {
			t.Fatal(err)
		}
		r.start(c)
		body(t, r)
		r.halt()
	})
}

// steps is a scene "night" of them.
func steps(list ...scene.StepConfig) scene.Config {
	return scene.Config{Scenes: []scene.Plan{{ID: "night", Within: time.Minute, MaxAge: 10 * time.Second, Steps: list}}}
}

func do(device, action string) scene.StepConfig {
	return scene.StepConfig{Device: device, Action: action}
}

func pause(d time.Duration) scene.StepConfig { return scene.StepConfig{Wait: d} }
