package rules

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/expression"
)

// live is a rule at work. All of it is guarded by the engine's mu.
type live struct {
	*rule
	hand    *hand // nil if it has no commands
	machine machine
	// since is when its state was entered; in an earlier run if it has no monotonic
	// part.
	since time.Time
	// seen is when each input last had a value that could be used.
	seen   []time.Time
	values map[string]any // those that can be used now, for the language
	// known is when the condition last was, and why says why it is not.
	known  time.Time
	why    string
	silent bool
	// settled is what it has had carried out last.
	settled branch
	ordered time.Time // when its last command was given
	// announced is that the beginning of the alert was handed on and the end was
	// not; told, that this is durable.
	announced, told bool
	change          uint64 // the number of its last one, in the memory

	// inside tells whether the time is within the window, found when it was looked.
	inside verdict
	looked present
	// Of moments: the date that each was dealt with last, and when every is due.
	done     map[string]date
	interval time.Time

	// due is when to look at it again; next, when something is to happen by the
	// clock, zero if that is not known.
	due, next time.Time
	lastFired time.Time
	fired     uint64
	missed    uint64
	lastMiss  string
}

// maxSlip is by how much the clock may run apart from what it was before that counts
// as a step.
const maxSlip = 200 * time.Millisecond

// present is what the engine knows of a moment.
type present struct {
	now        time.Time // monotonic
	wall       time.Time
	trusted    bool
	position   Position
	positioned bool
	zone       *time.Location
}

// differs tells whether something but time has passed: the clock was set, say.
func (p *present) differs(from *present) bool {
	step := p.wall.Sub(from.wall) - p.now.Sub(from.now)
	return from.now.IsZero() || step.Abs() > maxSlip || p.trusted != from.trusted || p.positioned != from.positioned || p.position != from.position
}

// after is the moment, by the monotonic clock, at which the clock will show a time.
func (p *present) after(wall time.Time) time.Time {
	if wall.IsZero() {
		return time.Time{}
	}
	return p.now.Add(wall.Sub(p.wall))
}

func newLive(r *rule, now time.Time) *live {
	l := &live{
		rule: r, since: now, known: now, values: make(map[string]any), done: make(map[string]date),
		machine: machine{holdFor: r.For, minInterval: r.MinInterval, maxPerMinute: r.MaxPerMinute},
		seen:    make([]time.Time, len(r.inputs)),
	}
	for i := range l.seen {
		l.seen[i] = now
	}
	return l
}

// doubts is what is not known of a condition, and when that makes the rule silent.
type doubts struct {
	why    []string
	silent time.Time
}

func (d *doubts) add(why string, silent time.Time) {
	d.why = append(d.why, why)
	d.silent = earlier(d.silent, silent)
}

// take takes up the latest values. due is when one of them will be too old.
func (l *live) take(e *Engine, p *present) (due time.Time) {
	clear(l.values)
	for i, in := range l.inputs {
		if v, set := e.opts.Outputs(in.device)[in.quantity]; set {
			l.seen[i], l.values[in.name] = p.now, expression.Plain(v)
			continue
		}
		v, came := e.opts.Board.Get(in.device, in.quantity)
		if !came || v.Quality == gateway.Bad || !finite(v.Value) {
			continue
		}
		l.seen[i] = later(l.seen[i], v.Came)
		if stale := v.Came.Add(in.maxAge); p.now.Before(stale) {
			l.values[in.name] = expression.Plain(v.Value)
			due = earlier(due, stale)
		}
	}
	return due
}

func finite(v gateway.Value) bool {
	x, isNumber := v.Number()
	return !isNumber || !math.IsNaN(x) && !math.IsInf(x, 0)
}

// test finds what is known of a condition; none at all holds.
func (l *live) test(x *expression.Expression, e *Engine, d *doubts) verdict {
	if x == nil {
		return yes
	}
	complete := true
	for i, in := range l.inputs {
		if _, usable := l.values[in.name]; usable || !names(x, in.name) {
			continue
		}
		complete = false
		d.add(l.complaint(e, i), l.seen[i].Add(in.maxAge))
	}
	if !complete {
		return unknown
	}
	result, err := x.Run(&e.machine, l.values)
	holds, isVerdict := result.(bool)
	if err == nil && !isVerdict {
		err = fmt.Errorf("the result is %v; want true or false", result)
	}
	if err != nil {
		d.add(err.Error(), l.known.Add(cmp.Or(l.MaxAge, defaultMaxAge)))
		return unknown
	}
	return verdictOf(holds)
}

func names(x *expression.Expression, name string) bool {
	for _, input := range x.Inputs {
		if input == name {
			return true
		}
	}
	return false
}

// complaint says why an input cannot be used.
func (l *live) complaint(e *Engine, i int) string {
	in := l.inputs[i]
	v, came := e.opts.Board.Get(in.device, in.quantity)
	switch {
	case !came:
		return in.name + " has not come yet"
	case v.Quality == gateway.Bad:
		return in.name + " is bad"
	case !finite(v.Value):
		return fmt.Sprintf("%s is %v, which is no number", in.name, v.Value)
	default:
		return fmt.Sprintf("%s is older than %v", in.name, in.maxAge)
	}
}

// within finds whether the rule counts at this time of the day and the week.
func (l *live) within(p *present, d *doubts) (v verdict) {
	if l.window == nil && l.days == allDays {
		return yes
	}
	if l.inside != unknown && !p.differs(&l.looked) && p.wall.Before(l.next) {
		return l.inside
	}
	l.looked, l.next = *p, time.Time{}
	if !p.trusted {
		d.add(whyClock, l.known.Add(cmp.Or(l.MaxAge, defaultMaxAge)))
		return unknown
	}
	if l.window == nil {
		today := dateOf(p.wall.In(p.zone))
		l.next = today.add(1).at(0, p.zone)
		return verdictOf(l.days.has(today.weekday()))
	}
	if l.window.needsSun() && !p.positioned {
		d.add(whyPosition, l.known.Add(cmp.Or(l.MaxAge, defaultMaxAge)))
		return unknown
	}
	inside, next := l.window.around(p.wall, p.position, p.zone)
	l.next = next
	return verdictOf(inside)
}

const (
	whyClock    = "the clock is not trusted"
	whyPosition = "the position is not known yet"
)

// judge takes a rule with a state a step further. due is when to look again.
func (l *live) judge(e *Engine, p *present) (c change, due time.Time) {
	due = l.take(e, p)
	var inDoubt, whenDoubt, untilDoubt doubts
	l.inside = l.within(p, &inDoubt)
	when := l.test(l.when, e, &whenDoubt)
	begins, ends := l.inside.and(when), l.inside.and(when).not()
	if l.until != nil {
		until := l.test(l.until, e, &untilDoubt)
		ends = l.inside.not().or(when.not().and(until))
		if begins == yes && until == unknown {
			begins = unknown // nobody could tell when it is over
		}
	}
	c = l.machine.step(begins, ends, p.now)
	if c != unchanged {
		l.since = p.now
	}
	decisive := begins
	if l.machine.on {
		decisive = ends
	}
	doubt := doubts{}
	if decisive == unknown {
		for _, d := range []doubts{inDoubt, whenDoubt, untilDoubt} {
			doubt.why = append(doubt.why, d.why...)
			doubt.silent = earlier(doubt.silent, d.silent)
		}
	} else {
		l.known = p.now
	}
	l.why = strings.Join(unique(doubt.why), "; ")
	l.silent = l.why != "" && !p.now.Before(doubt.silent)
	if l.silent {
		l.machine.silence()
	} else {
		due = earlier(due, doubt.silent)
	}
	return c, earlier(due, earlier(l.machine.due(), p.after(l.next)))
}

func unique(texts []string) (once []string) {
	for _, text := range texts {
		if len(once) == 0 || once[len(once)-1] != text {
			once = append(once, text)
		}
	}
	return once
}
