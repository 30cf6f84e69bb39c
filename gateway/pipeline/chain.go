package pipeline

import (
	"math"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// Chain processes the readings of one device between its driver and the
// batcher, as a Processing says. Its time is the monotonic part of the times
// that it is given: a step of the wall clock neither closes a window nor holds
// one open. It is for one goroutine at a time.
type Chain struct {
	calibrate calibrator
	valid     validator
	calculate calculator
	windows   windower
	gate      gate
	limit     limiter

	names     names
	problems  problems
	stats     ProcessingStats
	summaries []gateway.Reading // of windows, on their way to the gate
}

// Apply processes readings that have been stamped, and returns those that are
// to be handed on, what was due by now among them.
func (c *Chain) Apply(readings []gateway.Reading, now time.Time) []gateway.Reading {
	return c.reduce(c.measure(readings, false, now, &c.stats), now)
}

// measure does the steps that say what is true, and counts in stats. All keeps
// what would be dropped, for somebody who was promised that it is sent.
func (c *Chain) measure(readings []gateway.Reading, all bool, now time.Time, stats *ProcessingStats) []gateway.Reading {
	measured := make([]gateway.Reading, 0, len(readings)+len(c.calculate.derive))
	for _, r := range readings {
		stats.Taken++
		c.names.saw(r.Name)
		c.calibrate.apply(&r)
		drop := c.judge(&r, now, stats)
		if drop && !all {
			stats.Dropped++
			continue
		}
		if s := c.calculate.scopeOf(&r, now, &c.problems); s != nil && isFinite(&r) {
			if slices.Contains(s.fresh, r.Name) {
				measured = c.derive(s, measured, now, stats)
			}
			c.calculate.put(s, &r, now)
		}
		measured = append(measured, r)
	}
	for _, s := range c.calculate.touched {
		measured = c.derive(s, measured, now, stats)
	}
	c.calculate.touched = c.calculate.touched[:0]
	c.names.batch(now, &c.problems)
	return measured
}

// judge marks a number outside of its valid range, and tells whether it is to
// be dropped.
func (c *Chain) judge(r *gateway.Reading, now time.Time, stats *ProcessingStats) (drop bool) {
	if !isFinite(r) {
		c.problems.note(r.Name, "is not finite; check the sensor, and what calibrate or derive makes of it", now)
		return true
	}
	outside, drop := c.valid.apply(r)
	if outside {
		stats.Bad++
	}
	return drop
}

func isFinite(r *gateway.Reading) bool {
	x, isNumber := r.Value.Number()
	return !isNumber || !math.IsNaN(x) && !math.IsInf(x, 0)
}

// derive calculates what is fresh in a scope, and appends what comes of it.
func (c *Chain) derive(s *scope, measured []gateway.Reading, now time.Time, stats *ProcessingStats) []gateway.Reading {
	for i := range c.calculate.derive {
		r, ok := c.calculate.derive[i].of(s, now, &c.calculate.machine, &c.problems)
		if !ok {
			continue
		}
		stats.Derived++
		if c.judge(&r, now, stats) {
			stats.Dropped++
			continue
		}
		s.put(&r, now)
		measured = append(measured, r)
	}
	c.calculate.watch(s, now, &c.problems)
	s.fresh = s.fresh[:0]
	return measured
}

// reduce does the steps that hold readings back.
func (c *Chain) reduce(measured []gateway.Reading, now time.Time) []gateway.Reading {
	out := c.Tick(now)
	if len(c.windows.plans)+len(c.gate.bands)+len(c.limit.every) == 0 {
		c.stats.Sent += uint64(len(measured))
		return measured // there is nothing else that could be due
	}
	out = slices.Grow(out, len(measured))
	for i := range measured {
		r := &measured[i]
		closed, taken := c.windows.take(r, now, c.summaries[:0])
		out = c.summed(closed, now, out)
		if taken {
			c.stats.Windowed++
			continue
		}
		out = c.send(r, now, out)
	}
	return out
}

// summed sends the summaries of windows.
func (c *Chain) summed(closed []gateway.Reading, now time.Time, out []gateway.Reading) []gateway.Reading {
	c.stats.Summaries += uint64(len(closed))
	for i := range closed {
		out = c.send(&closed[i], now, out)
	}
	c.summaries = closed[:0]
	return out
}

// send appends a reading to out unless it is held back.
func (c *Chain) send(r *gateway.Reading, now time.Time, out []gateway.Reading) []gateway.Reading {
	if !c.gate.pass(r, now) {
		c.stats.Suppressed++
		return out
	}
	pass, replaced := c.limit.pass(r, now)
	if replaced {
		c.stats.Suppressed++
	}
	if pass {
		c.stats.Sent++
		out = append(out, *r)
	}
	return out
}

// Tick returns what has become due by the passing of time: windows that are
// over although their sensor has fallen silent, and what a rate limit held.
func (c *Chain) Tick(now time.Time) []gateway.Reading {
	c.calculate.tick(now)
	held := c.limit.tick(now, nil)
	c.stats.Sent += uint64(len(held))
	return c.summed(c.windows.tick(now, c.summaries[:0]), now, held)
}

// Due is when Tick has something to do, or a problem is over; zero is never.
func (c *Chain) Due() time.Time {
	return sooner(sooner(c.calculate.soonest, c.problems.due()), sooner(c.windows.soonest, c.limit.soonest))
}

// Alerts returns what has begun or ended since it was last called. Their time
// is left to the caller.
func (c *Chain) Alerts() []gateway.Alert {
	told := c.calculate.told
	c.calculate.told = nil
	return told
}

// resume takes up alerts that an earlier chain had told. One that there is no
// rule for any more has ended.
func (c *Chain) resume(told []alertKey) { c.calculate.resume(told) }

// Active are the alerts that have begun and not ended.
func (c *Chain) Active() []gateway.Alert { return c.calculate.active() }

// Stop returns all that is in windows and held by rate limits.
func (c *Chain) Stop(now time.Time) []gateway.Reading {
	out := c.summed(c.windows.stop(c.summaries[:0]), now, nil)
	held := c.limit.stop(out)
	c.stats.Sent += uint64(len(held) - len(out))
	return held
}

// Stats is what the chain has done so far.
func (c *Chain) Stats() ProcessingStats {
	s := c.stats
	s.Held = c.limit.held
	return s
}
