package drivers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// KeeperOptions of a Keeper. Driver and Config are required.
type KeeperOptions struct {
	Driver Driver
	// Config is what Driver.Config gave, decoded.
	Config any
	Buses  *bus.Set
	// Memory of a device that remembers.
	Memory gateway.Memory
	// Files is the folder of a device that keeps files.
	Files string
	// Proxy is the HTTP proxy for a device that fetches files; nil is none.
	Proxy func() *url.URL
	// Time is told by a device that keeps time.
	Time func(now time.Time)
	// Safety is told, each time that the safe state was to be taken, whether it was.
	Safety func(problem error)
	// Changed is called when what is known of the outputs may have changed otherwise
	// than by a command: the device was found or lost, or has taken its safe state. It
	// must not wait.
	Changed func()
	Log     *slog.Logger
}

// Keeper keeps one device of the config at work, and fulfils its contracts, so
// that whoever uses it need know nothing of what is below:
//
//	closed ── opened, safe state taken ─→ open
//	  ↑ ↑                                   │ not there any more, or
//	  │ └── pause, again and again          │ failing for several reads
//	  └──────────── closed ────────────── lost
//
// An absent device is looked for when it is asked for something, at most once in
// each of the pauses, which grow from 1 s to 1 min and are random; at once if a
// command is for it, or if its device file has appeared. In between, the reason of
// the last attempt is the answer, and the hardware is left alone. It is never
// opened or closed while a call into it is under way, so that one that hangs holds
// up the device, and nobody else.
//
// A sensor or actuator that need not be opened is passed through. A Keeper is safe
// for concurrent use.
type Keeper struct {
	opts KeeperOptions
	life context.Context // ends with Close
	end  context.CancelFunc

	mu     sync.Mutex
	device Device
	made   bool
	phase  phase
	ended  bool
	// attempt is the one under way; nil if there is none.
	attempt *attempt
	// calls are those into the device that are under way; stopRun ends the one
	// that lasts, if there is one.
	calls   int
	stopRun context.CancelFunc
	// Why it is not open, and when it may be tried again.
	why  error
	wait pauses
	// present is whether it was plugged in at the last look.
	present bool
	// How it has done since it was opened.
	openedAt time.Time
	worked   bool
	failures int
}

type phase int

const (
	closed phase = iota
	open
	lost // to be closed and opened before its next use
)

// errAbsent is why a device cannot be used. It is a kind of
// gateway.ErrUnavailable whatever the reason.
type errAbsent struct{ reason error }

func (e errAbsent) Error() string   { return e.reason.Error() }
func (e errAbsent) Unwrap() []error { return []error{e.reason, gateway.ErrUnavailable} }

// NewKeeper makes the device, which touches no hardware. If that fails it is
// tried again with each attempt to open it.
func NewKeeper(o KeeperOptions) *Keeper {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Buses == nil {
		o.Buses = bus.New(bus.Options{})
	}
	if o.Safety == nil {
		o.Safety = func(error) {}
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	k := &Keeper{opts: o}
	k.life, k.end = context.WithCancel(context.Background())
	if device, err := k.make(); err == nil { // else the first attempt tells
		k.device, k.made = device, true
	}
	return k
}

// Contracts are those of the device, fulfilled by the keeper. They are known
// before the device is, and do not change.
func (k *Keeper) Contracts() Device {
	d := Device{Close: k.Close}
	if k.opts.Driver.fulfils.Sensor != nil {
		d.Sensor = k
	}
	if k.opts.Driver.fulfils.Stream != nil {
		d.Stream = k
	}
	if k.opts.Driver.fulfils.Actuator != nil {
		d.Actuator = k
	}
	if k.opts.Driver.fulfils.Safer != nil {
		d.Safer = k
	}
	if k.opts.Driver.fulfils.Stateful != nil {
		d.Stateful = k
	}
	return d
}

// KeepsFiles says whether the device is a gateway.FileKeeper.
func (k *Keeper) KeepsFiles() bool { return k.opts.Driver.fulfils.FileKeeper != nil }

// Read implements gateway.Sensor.
func (k *Keeper) Read(ctx context.Context) (readings []gateway.Reading, err error) {
	if err := k.enter(ctx, false); err != nil {
		return nil, err
	}
	defer func() {
		k.leave(err, len(readings) > 0)
		if err != nil && len(readings) == 0 && !errors.Is(ctx.Err(), context.Canceled) {
			k.readFailed()
		}
	}()
	return k.device.Sensor.Read(ctx)
}

// Run implements gateway.Stream. It ends when the device is lost.
func (k *Keeper) Run(ctx context.Context, sink gateway.Sink) (err error) {
	if err := k.enter(ctx, false); err != nil {
		return err
	}
	inner, stop := context.WithCancel(ctx)
	defer stop()
	k.lasts(stop)
	defer func() { k.leave(err, false) }()
	err = k.device.Stream.Run(inner, sink)
	if why := k.cut(inner); why != nil && ctx.Err() == nil {
		return why
	}
	return err
}

// Actions implements gateway.Actuator. Nil is the answer as long as the device
// cannot be made; one that can do nothing has none.
func (k *Keeper) Actions() []gateway.Action {
	k.mu.Lock()
	actuator := k.device.Actuator
	k.mu.Unlock()
	if actuator == nil {
		return nil
	}
	return append([]gateway.Action{}, actuator.Actions()...)
}

// Do implements gateway.Actuator. An absent device is looked for at once; a patient
// action waits for it.
func (k *Keeper) Do(ctx context.Context, cmd gateway.Command) (values map[string]any, err error) {
	err = k.enter(ctx, true)
	for err != nil && k.patient(cmd.Action) && k.pause(ctx) {
		err = k.enter(ctx, true)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("nothing was done: %w", err), ctx.Err())
	}
	defer func() { k.leave(err, false) }()
	return k.device.Actuator.Do(ctx, cmd)
}

// Safe implements gateway.Safer.
func (k *Keeper) Safe(ctx context.Context) (err error) {
	if err := k.enter(ctx, true); err != nil {
		return err
	}
	defer func() { k.leave(err, false) }()
	return k.safe(ctx, k.device)
}

// Check looks for the device if it is time, and says why it cannot be used. Once
// it has been found, an output is in its safe state.
func (k *Keeper) Check(ctx context.Context) error {
	k.look()
	if err := k.enter(ctx, false); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls--
	return nil
}
