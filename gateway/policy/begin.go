package policy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// permit is for one command, until its device has come back.
type permit struct {
	began time.Time
	// momentary is that it changes something in between; after is what the outputs are
	// once it is done; away is that the device is away from its safe state meanwhile or
	// then.
	momentary, away bool
	after           state
	// stopped is why it was cut short; nil if it was not.
	stopped *reason
	cut     context.CancelCauseFunc
	done    chan struct{} // closed when the device has come back
}

// Begin implements command.Policy. It waits for what is under way on devices that
// this one depends on, or that depend on it, but no longer than patience.
func (p *Policy) Begin(ctx context.Context, cmd gateway.Command, action gateway.Action) (run context.Context, end func(), err error) {
	late := time.NewTimer(patience)
	defer late.Stop()
	waits := true
	for {
		run, end, news, err := p.begin(ctx, cmd, action, waits)
		if news == nil {
			return run, end, err
		}
		select {
		case <-news:
		case <-late.C:
			waits = false
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// begin judges a command; it returns what to wait for, if it is to be judged later.
func (p *Policy) begin(ctx context.Context, cmd gateway.Command, action gateway.Action, waits bool) (context.Context, func(), <-chan struct{}, error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.devices[cmd.Device]
	if d == nil { // it has no policy
		return ctx, func() {}, nil, nil
	}
	if err := p.may(d, cmd, now); err != nil {
		return nil, nil, nil, err
	}
	if waits && p.busy(d) {
		return nil, nil, p.news, nil
	}
	p.track(d, now)
	permit := &permit{began: now, momentary: action.Momentary, done: make(chan struct{})}
	if d.Stateful != nil {
		permit.after = d.Stateful.After(cmd)
		permit.away = len(d.rest) > 0 && (permit.momentary || !rests(permit.after, d.rest))
	}
	if err := p.judge(d, cmd, permit, now); err != nil {
		return nil, nil, nil, err
	}
	ctx, permit.cut = context.WithCancelCause(ctx)
	d.underway, d.command = permit, now
	if d.made != nil && (permit.away || !d.made.passing) { // somebody decides about it again
		d.made = nil
		p.clear(d)
	}
	p.Changed()
	return ctx, func() { p.end(d.ID, permit) }, nil, nil
}

// end takes note that a device has come back from a command.
func (p *Policy) end(id gateway.DeviceID, permit *permit) {
	p = p.lock()
	defer p.mu.Unlock()
	close(permit.done)
	permit.cut(nil)
	d, now := p.devices[id], time.Now()
	if d == nil || d.underway != permit { // it is no more, or was opened anew
		return
	}
	p.track(d, now) // while it is known which command did it
	if permit.momentary {
		d.times.since = now
	}
	d.underway = nil
	if permit.stopped != nil && d.securing == nil && !rests(d.state(), d.rest) { // it has come back late
		p.secure(d, *permit.stopped, now)
	}
	p.tell()
}

// busy tells whether something is under way that decides about commands for a
// device: of its own, of what it depends on, and of what depends on it. mu is held.
func (p *Policy) busy(d *device) bool {
	for _, other := range p.devices {
		if (other == d || d.interlock.names(other) || other.interlock.names(d)) && (other.underway != nil || other.securing != nil) {
			return true
		}
	}
	return false
}

// may tells by its error that a command must not come from there at all.
func (p *Policy) may(d *device, cmd gateway.Command, now time.Time) error {
	from := group(cmd.Origin)
	if until := p.overrides.until(d.ID, now); !until.IsZero() && from != "local" {
		return fmt.Errorf("%s is under manual control on site for another %v; only the command line on the board may command it until then, or until it is released there: %w",
			d.ID, atLeast(until.Sub(now)), gateway.ErrDenied)
	}
	if allowed := d.Config.Allow; allowed != nil && !slices.Contains(allowed, from) {
		return fmt.Errorf("%s takes no commands from %s; its `allow` has %s: %w", d.ID, from, list(allowed), gateway.ErrDenied)
	}
	if allowed, narrower := d.Config.AllowActions[cmd.Action]; narrower && !slices.Contains(allowed, from) {
		return fmt.Errorf("%s must not be asked to %s by %s; its `allow_actions` has %s: %w", d.ID, cmd.Action, from, list(allowed), gateway.ErrDenied)
	}
	return nil
}

// judge tells by its error why a command must not be carried out now, whoever asks
// for it. mu is held.
func (p *Policy) judge(d *device, cmd gateway.Command, permit *permit, now time.Time) error {
	why := ""
	switch {
	case permit.away && d.securing != nil:
		why = fmt.Sprintf("%s is being brought into its safe state, since %s; try again when that is over", d.ID, d.securing.why.text)
	case permit.away && d.owed != nil:
		why = fmt.Sprintf("%s has not taken its safe state yet, since %s; see to that it can be reached", d.ID, d.owed.text)
	case d.underway != nil:
		why = d.busyText()
	default:
		why = p.conflict(d, cmd, permit, now)
	}
	if why == "" {
		why = d.tooSoon(permit, now)
	}
	if why == "" && !d.budget.take(d.Config.MaxCommands, permit.away || len(d.rest) == 0, now) {
		why = fmt.Sprintf("%s has had %d commands in %v (max_commands); try again in %v", d.ID, d.Config.MaxCommands.Count, d.Config.MaxCommands.Per, atLeast(d.budget.wait(d.Config.MaxCommands)))
	}
	if why == "" {
		return nil
	}
	return fmt.Errorf("%s: %w", why, gateway.ErrDenied)
}

func (d *device) busyText() string {
	return fmt.Sprintf("%s is in the middle of another command; try again when that is over", d.ID)
}

// conflict says which interlock forbids a command; empty if none does. mu is held.
func (p *Policy) conflict(d *device, cmd gateway.Command, permit *permit, now time.Time) string {
	if d.interlock != nil && permit.away {
		if ok, why := p.holds(d, now, nil); !ok {
			return fmt.Sprintf("%s may only be away from its safe state while `%s` (only_while), and %s; see to that first", d.ID, d.interlock.text, why)
		}
	}
	for _, id := range p.ids {
		other := p.devices[id]
		if other == d || !other.interlock.names(d) {
			continue
		}
		if permit.momentary {
			return fmt.Sprintf("%s changes %s for a moment only, and %s needs to rely on it (only_while of %s: `%s`); use an action that lasts",
				cmd.Action, d.ID, other.ID, other.ID, other.interlock.text)
		}
		if !other.away() {
			continue
		}
		if ok, why := p.holds(other, now, &assumption{d, permit.after}); !ok {
			return fmt.Sprintf("%s is not in its safe state, or cannot be reached, and needs `%s` (only_while of %s), but then %s; bring %s into its safe state first",
				other.ID, other.interlock.text, other.ID, why, other.ID)
		}
	}
	return ""
}

// track takes note of what the outputs of a device are now, and tells the board.
// mu is held.
func (p *Policy) track(d *device, now time.Time) {
	if d.Stateful == nil {
		return
	}
	outputs := d.state()
	if d.told == nil && outputs != nil { // it has been found
		d.describe()
	}
	d.times.see(outputs, d.underway, now)
	var news []gateway.Reading
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		if was, told := d.told[name]; told && was == outputs[name] {
			continue
		}
		last, _ := p.opts.Latest.Get(d.ID, name)
		news = append(news, gateway.Reading{
			Device: d.ID, Name: name, Value: outputs[name], Unit: last.Unit, Time: p.opts.Clock.Now(), Quality: gateway.Good,
		})
	}
	d.told = outputs
	p.opts.Latest.Put(news...)
}

// list is for people: hub, local.
func list(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(names, ", ")
}

// atLeast is a time to wait, in whole seconds.
func atLeast(d time.Duration) time.Duration {
	return max(time.Second, (d + time.Second - 1).Truncate(time.Second))
}
