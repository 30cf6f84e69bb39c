package policy

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
)

const (
	// maxReports bounds what waits to be told; what is beyond is not told.
	maxReports = 1000
	// eventEvery is how often an event of one kind is sent for a device at most.
	eventEvery = time.Minute
	// maxEventText bounds Event.Text, in bytes.
	maxEventText = 1000
)

// eventKind is what an event of a device tells.
type eventKind struct {
	cause string
	done  bool
}

// later has something told by Run: whoever takes what is told, such as a log that is
// full, must hold up no safe state. mu is held.
func (p *Policy) later(report func()) {
	if len(p.reports) < maxReports {
		p.reports = append(p.reports, report)
	}
	select {
	case p.reported <- struct{}{}:
	default:
	}
}

// tellUntil tells what there is to tell, to the end of it.
func (p *Policy) tellUntil(over <-chan struct{}) {
	for {
		select {
		case <-p.reported:
			p.tellAll()
		case <-over:
			p.tellAll()
			return
		}
	}
}

func (p *Policy) tellAll() {
	p.mu.Lock()
	reports := p.reports
	p.reports = nil
	p.mu.Unlock()
	for _, report := range reports {
		report()
	}
}

// report says why a device was made safe. That it has failed is told by the
// condition of whoever drives the device, too. mu is held.
func (p *Policy) report(d *device, why reason, err error) {
	level, severity := slog.LevelWarn, health.Warning
	text := fmt.Sprintf("%s was taken to its safe state, since %s", d.ID, why.text)
	switch {
	case err != nil:
		severity = health.Error
		text = fmt.Sprintf("%s has to take its safe state, since %s, and that has failed: %v; it is tried again", d.ID, why.text, err)
	case why.routine:
		level = slog.LevelInfo
	}
	p.later(func() {
		p.log.Log(context.Background(), level, "device was taken to its safe state", "device", d.ID, "since", why.text, "error", err)
		if level == slog.LevelInfo {
			p.opts.Health.Clear(Condition(d.ID))
		} else {
			p.opts.Health.Raise(Condition(d.ID), severity, text)
		}
	})
	p.event(d, eventKind{why.cause, err == nil}, text)
}

// event tells the hub that a device was made safe, or should have been. One that is
// made safe again and again is told now and then. mu is held.
func (p *Policy) event(d *device, kind eventKind, text string) {
	now := time.Now()
	last, was := d.events[kind]
	if p.opts.Event == nil || was && now.Sub(last) < eventEvery {
		return
	}
	d.events[kind] = now
	if len(text) > maxEventText {
		text = strings.ToValidUTF8(text[:maxEventText], "")
	}
	e := gateway.Event{
		Device: d.ID, Name: gateway.EventMadeSafe, Cause: kind.cause, Done: kind.done, Text: text, Time: p.opts.Clock.Now(), Outputs: d.state(),
	}
	p.later(func() {
		if err := p.opts.Event(e); err != nil {
			p.log.Warn("the hub is not told that a device was taken to its safe state", "device", d.ID, "cause", kind.cause, "error", err)
		}
	})
}

// clear ends the condition of a device that was made safe. mu is held.
func (p *Policy) clear(d *device) {
	p.later(func() { p.opts.Health.Clear(Condition(d.ID)) })
}
