package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// question is a reading that somebody wants now.
type question struct {
	ctx    context.Context
	answer chan<- answer // has room
}

type answer struct {
	readings []gateway.Reading
	err      error
}

// Ask reads the sensor now, between two slots, and returns what is true of it, as
// Measure says. Nothing of it is sent, and neither the pace of the device nor its
// state change; if it does not come back, the next slot finds the device stuck. It
// waits for a read that is under way, until ctx ends.
func (p *Poller) Ask(ctx context.Context) ([]gateway.Reading, error) {
	answers := make(chan answer, 1)
	select {
	case p.questions <- question{ctx, answers}:
	case <-ctx.Done():
		return nil, fmt.Errorf("the device is busy, or the gateway is stopping: %w", gateway.ErrTimeout)
	}
	select {
	case a := <-answers:
		return a.readings, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("the device has not answered in time: %w", gateway.ErrTimeout)
	}
}

// reply reads for somebody who asks. It is called by Run, between two slots.
func (p *Poller) reply(ctx context.Context, q question) {
	if p.read != nil && !p.read.returned() {
		q.answer <- answer{err: fmt.Errorf("a read begun %v ago has not come back: %w", time.Since(p.read.began).Round(time.Second), gateway.ErrTimeout)}
		return
	}
	rctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	defer context.AfterFunc(q.ctx, cancel)()
	p.read = enter(p.opts.Log, p.device, func() ([]gateway.Reading, error) { return p.opts.Sensor.Read(rctx) })
	if !p.read.await(ctx, p.opts.Timeout+courtesy, p.heart.Beat) {
		p.read.late = true // nobody takes it when it comes
		q.answer <- answer{err: p.errStuck()}
		return
	}
	readings, err := p.read.readings, p.read.err
	p.read = nil
	q.answer <- answer{Measure(p.opts.Processing, p.opts.Device, p.opts.Clock.Now(), readings), err}
}

// Measure returns what is true of readings of a device, taken by themselves: they
// are stamped, calibrated and judged, and others are derived from them. Nothing is
// held back. The processing must be valid.
func Measure(p Processing, device gateway.DeviceID, now time.Time, readings []gateway.Reading) []gateway.Reading {
	stamped := stamp(device, now, readings)
	p.Alerts = nil // they depend on what was before
	chain, err := NewChain(p)
	if err != nil {
		return stamped
	}
	return chain.measure(stamped, true, time.Now(), &chain.stats)
}
