package policy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// reason is why a device was made safe.
type reason struct {
	text string
	// cause is the key of the config that asked for it; causeAsked: somebody else did.
	cause string
	at    time.Time
	// routine is what belongs to the normal work of a device; passing is over when its
	// condition holds again.
	routine, passing bool
	over             bool // it is, and that has been told
}

// securing is the taking of a safe state.
type securing struct {
	why   reason
	tried chan struct{} // closed when it has been tried
	err   error         // of that, valid then
}

// The causes of safe states, as events tell them.
const (
	causeAsked     = "asked"
	causeOnlyWhile = "only_while"
	causeMaxOn     = "max_on"
	causeSilence   = "safe_after.silence"
	causeLinkLost  = "safe_after.link_lost"
)

// Condition is the health condition of a device that was made safe.
func Condition(id gateway.DeviceID) string { return "made-safe:" + string(id) }

// Safe takes a device to its safe state, with those that depend on it before it.
// It does not wait. The reason completes a sentence that ends in "since".
func (p *Policy) Safe(id gateway.DeviceID, why string) error {
	_, err := p.secureByID(id, why)
	return err
}

// SafeNow is Safe, and waits until that has been tried, or ctx ends.
func (p *Policy) SafeNow(ctx context.Context, id gateway.DeviceID, why string) error {
	s, err := p.secureByID(id, why)
	if err != nil {
		return err
	}
	select {
	case <-s.tried:
		return s.err
	case <-ctx.Done():
		return fmt.Errorf("its safe state: %w", ctx.Err())
	}
}

// Leave takes those to their safe state that rely on devices which are about to be
// taken away, or opened anew. It waits until that has been tried, or ctx ends.
func (p *Policy) Leave(ctx context.Context, ids ...gateway.DeviceID) {
	p.mu.Lock()
	now := time.Now()
	var all []*securing
	for _, id := range ids {
		if d := p.devices[id]; d != nil {
			all = append(all, p.secureThoseOn(d, now)...)
		}
	}
	p.mu.Unlock()
	for _, s := range all {
		select {
		case <-s.tried:
		case <-ctx.Done():
			return
		}
	}
}

func (p *Policy) secureByID(id gateway.DeviceID, why string) (*securing, error) {
	p = p.lock()
	defer p.mu.Unlock()
	d := p.devices[id]
	if d == nil || d.Safer == nil {
		return nil, fmt.Errorf("device %s has no safe state: %w", id, gateway.ErrUnknown)
	}
	now := time.Now()
	return p.secure(d, reason{text: why, cause: causeAsked, at: now}, now), nil
}

// secure begins to take a safe state. mu is held.
func (p *Policy) secure(d *device, why reason, now time.Time) *securing {
	if d.securing != nil {
		return d.securing
	}
	s := &securing{why: why, tried: make(chan struct{})}
	d.securing, d.made = s, &why
	underway := d.underway
	if underway != nil {
		underway.stopped = &why
		underway.cut(errors.New(why.text))
	}
	first := p.secureThoseOn(d, now)
	p.safing.Go(func() { p.take(d, s, first, underway) })
	return s
}

// secureThoseOn begins to take the safe state of all whose condition that of a device
// would make false. mu is held.
func (p *Policy) secureThoseOn(d *device, now time.Time) (all []*securing) {
	for _, id := range p.ids {
		other := p.devices[id]
		if other == d || !other.interlock.names(d) || !other.away() {
			continue
		}
		if ok, then := p.holds(other, now, &assumption{d, d.atRest()}); !ok {
			all = append(all, p.secure(other, reason{
				text:  fmt.Sprintf("%s takes its safe state, and then %s (only_while: `%s`)", d.ID, then, other.interlock.text),
				cause: causeOnlyWhile, at: now, passing: true,
			}, now))
		}
	}
	return all
}

// atRest is what the outputs of a device are once it has taken its safe state.
func (d *device) atRest() state {
	outputs := make(state)
	for name, v := range d.state() {
		outputs[name] = v
	}
	for name, v := range d.rest {
		outputs[name] = v
	}
	return outputs
}

// take takes the safe state, after that of others, and again when what is under way
// has come back: that may have begun too late to hear that it is cut short.
func (p *Policy) take(d *device, s *securing, first []*securing, underway *permit) {
	for _, other := range first {
		inTime(other.tried)
	}
	err := p.makeSafe(d)
	if underway != nil && inTime(underway.done) {
		err = p.makeSafe(d)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	d.securing, d.owed = nil, nil
	p.track(d, now)
	if err == nil && d.underway == nil && !rests(d.state(), d.rest) {
		err = errors.New("it says that it has taken it, and has not")
	}
	if err != nil {
		d.owed, d.retry = &s.why, now.Add(retrySafe)
	}
	p.report(d, s.why, err)
	s.err = err
	close(s.tried)
	p.tell()
}

// makeSafe has the device take its safe state. Who does not come back in time is left
// behind, and not called again before.
func (p *Policy) makeSafe(d *device) error {
	p.mu.Lock()
	before := d.called
	p.mu.Unlock()
	if before != nil && !inTime(before) {
		return fmt.Errorf("it has not come back from an attempt before: %w", gateway.ErrTimeout)
	}
	ctx, cancel := context.WithTimeout(context.Background(), safeTime)
	var err error
	back := make(chan struct{})
	go func() {
		defer close(back)
		defer cancel()
		err = d.Safer.Safe(ctx)
	}()
	p.mu.Lock()
	d.called = back
	p.mu.Unlock()
	if !inTime(back) {
		return fmt.Errorf("it has not come back within %v: %w", safeTime, gateway.ErrTimeout)
	}
	return err
}

// inTime waits for something, for safeTime at most, and reports whether it has come
// about.
func inTime(done <-chan struct{}) bool {
	timer := time.NewTimer(safeTime)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
