package scene

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/latest"
)

// Door is where commands go in: each is put on record, judged and carried out as any
// other.
type Door interface {
	// Do waits for the final state. A command whose id is on record already is not
	// carried out again: what became of the first is the answer. On an error there
	// is no final state yet.
	Do(ctx context.Context, cmd gateway.Command) (gateway.Result, error)
	// Stopping is closed when no command is begun any more.
	Stopping() <-chan struct{}
}

// Clock tells the time of day, and how long the board has been up.
type Clock interface {
	clock.Clock
	// Uptime is exact whatever the time of day does, until the board is started again,
	// which changes Boot. Boot is empty if it is not known.
	Uptime() time.Duration
	Boot() string
}

// Options of a Set. All but Log and Outputs are required.
type Options struct {
	// Config has been checked.
	Config Config
	// Actions are those of a device; nil: they are not known, or it has none.
	Actions func(gateway.DeviceID) []gateway.Action
	// Timeout is how long an action has that does not say.
	Timeout time.Duration
	// Latest has the values that conditions are judged by, of Devices.
	Latest  *latest.Board
	Devices []gateway.DeviceID
	// Outputs are what the outputs of a device are set to now; conditions go by that,
	// not by what was read of them last. Nil: nobody knows.
	Outputs func(gateway.DeviceID) map[string]gateway.Value
	// Memory is that of a scene.
	Memory func(id string) gateway.Memory
	Clock  Clock
	Log    *slog.Logger
}

// Set has the groups and scenes of a config. Connect it before any of them is asked
// for something.
type Set struct {
	opts   Options
	door   Door
	groups map[gateway.DeviceID]*group
	scenes map[gateway.DeviceID]*scene
}

// New makes them. It moves nothing.
func New(o Options) (*Set, error) {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.Outputs == nil {
		o.Outputs = func(gateway.DeviceID) map[string]gateway.Value { return nil }
	}
	s := &Set{opts: o, groups: make(map[gateway.DeviceID]*group), scenes: make(map[gateway.DeviceID]*scene)}
	for id, members := range o.Config.Groups {
		s.groups[gateway.DeviceID(id)] = &group{Set: s, members: members}
	}
	var errs []error
	for _, c := range o.Config.Scenes {
		one, err := newScene(s, c)
		if err != nil {
			errs = append(errs, fmt.Errorf("scene %s: %w", c.ID, err))
			continue
		}
		s.scenes[gateway.DeviceID(c.ID)] = one
	}
	return s, errors.Join(errs...)
}

// Connect says where commands go.
func (s *Set) Connect(d Door) { s.door = d }

// Actuators are the groups and scenes as devices.
func (s *Set) Actuators() map[gateway.DeviceID]gateway.Actuator {
	all := make(map[gateway.DeviceID]gateway.Actuator, len(s.groups)+len(s.scenes))
	for id, g := range s.groups {
		all[id] = g
	}
	for id, c := range s.scenes {
		all[id] = c
	}
	return all
}

// actions of a device, group or scene, each with its time.
func (s *Set) actions(id gateway.DeviceID) []gateway.Action {
	if g := s.groups[id]; g != nil {
		return g.Actions()
	}
	if c := s.scenes[id]; c != nil {
		return c.Actions()
	}
	list := slices.Clone(s.opts.Actions(id))
	for i := range list {
		list[i].Timeout = cmp.Or(list[i].Timeout, s.opts.Timeout)
	}
	return list
}

var errTimeOver = fmt.Errorf("not gone on with after the restart, since its time is over: %w", gateway.ErrTimeout)

// end is when the time of a command is over. One that had been begun before the start
// is gone on with only if that is known.
func (s *Set) end(cmd gateway.Command, all time.Duration) (time.Time, error) {
	trusted := s.opts.Clock.Trusted()
	if cmd.Resumed && !trusted {
		return time.Time{}, fmt.Errorf("not gone on with after the restart, since the gateway does not know how long ago it began: %w", gateway.ErrTimeout)
	}
	left := all
	if trusted {
		left = min(all, all-s.opts.Clock.Now().Sub(cmd.Received))
	}
	switch {
	case left > 0:
		return time.Now().Add(left), nil
	case cmd.Resumed:
		return time.Time{}, errTimeOver
	default:
		return time.Time{}, fmt.Errorf("its time, %v, was over before it could be begun: %w", all, gateway.ErrExpired)
	}
}

// within is a context that has an end, and ends when the gateway stops.
func (s *Set) within(ctx context.Context, end time.Time) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithDeadline(ctx, end)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-s.door.Stopping():
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel()
		<-stopped
	}
}

// interrupted says why a command ends without a final state of its own: the gateway
// stops or changes its devices, and goes on with it afterwards.
func (s *Set) interrupted(ctx context.Context) error {
	select {
	case <-s.door.Stopping():
		return fmt.Errorf("the gateway stops: %w", context.Canceled)
	default:
	}
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return fmt.Errorf("cut short: %w", context.Canceled)
	}
	return nil
}

// cancelled is why a command is to end early; nil if it is not.
func cancelled(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(ctx.Err(), context.Canceled) && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}
