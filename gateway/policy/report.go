package policy

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/fieldpost/fieldpost/gateway/health"
)

// maxReports bounds what waits to be told; what is beyond is not told.
const maxReports = 1000

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
	p.later(func() {
		level := slog.LevelWarn
		if why.routine && err == nil {
			level = slog.LevelInfo
		}
		p.log.Log(context.Background(), level, "device was taken to its safe state", "device", d.ID, "since", why.text, "error", err)
		switch {
		case err != nil:
			p.opts.Health.Raise(Condition(d.ID), health.Error, fmt.Sprintf(
				"%s has to take its safe state, since %s, and that has failed: %v; it is tried again", d.ID, why.text, err))
		case !why.routine:
			p.opts.Health.Raise(Condition(d.ID), health.Warning, fmt.Sprintf("%s was taken to its safe state, since %s", d.ID, why.text))
		default:
			p.opts.Health.Clear(Condition(d.ID))
		}
	})
}

// clear ends the condition of a device that was made safe. mu is held.
func (p *Policy) clear(d *device) {
	p.later(func() { p.opts.Health.Clear(Condition(d.ID)) })
}
