package rules

import (
	"fmt"
	"strings"
	"time"
)

const (
	// lookBack is how many days a moment that is due can lie back; catch_up is not
	// longer.
	lookBack = 2
	// lookAhead is how many days it takes until each day of the week has come.
	lookAhead = 8
	// maxMissed bounds the days that are looked at for what was missed.
	maxMissed = 400
)

// occurrence is a moment of a rule on a date.
type occurrence struct {
	text string // of the moment
	date date
	at   time.Time
}

// moments takes a rule that has moments a step further. due is when to look again.
func (l *live) moments(e *Engine, p *present) (due time.Time) {
	due = l.take(e, p)
	l.why = ""
	if l.Every > 0 {
		return l.often(e, p)
	}
	l.next = time.Time{}
	if l.why = l.blind(p); l.why != "" {
		return due
	}
	var latest occurrence
	var all []occurrence
	for _, m := range l.at {
		if o, isDue := l.look(e, m, p); isDue {
			all = append(all, o)
			if o.at.After(latest.at) {
				latest = o
			}
		}
		l.next = earlier(l.next, l.nextOf(m, p))
	}
	if len(all) > 0 {
		due = earlier(due, l.keepTime(e, p, latest, all))
	}
	return earlier(due, p.after(l.next))
}

// blind says why it is not known when the moments of a rule are.
func (l *live) blind(p *present) string {
	if !p.trusted {
		return whyClock
	}
	for _, m := range l.at {
		if m.sun != noEvent && !p.positioned {
			return whyPosition
		}
	}
	return ""
}

// occurs gives a moment on a date, if the rule has it then.
func (l *live) occurs(m moment, d date, p *present) (at time.Time, ok bool) {
	if !l.days.has(d.weekday()) {
		return time.Time{}, false
	}
	return m.on(d, p.position, p.zone)
}

// look finds the latest occurrence of a moment, if it is due and was not dealt with
// yet. What lies before the first look, ever, is not due.
func (l *live) look(e *Engine, m moment, p *present) (o occurrence, isDue bool) {
	today := dateOf(p.wall.In(p.zone))
	done, known := l.done[m.text]
	if known && today.add(1).before(done) {
		e.log.Warn("the clock was set back by more than a day, the times of a rule begin anew", "rule", l.ID, "at", m.text, "was", done)
		known = false
	}
	o = occurrence{text: m.text, date: today.add(-lookBack - 1)}
	for d := today.add(1); o.date.before(d); d = d.add(-1) {
		if at, ok := l.occurs(m, d, p); ok && !at.After(p.wall) {
			o.date, o.at = d, at
		}
	}
	if !known {
		l.done[m.text] = o.date
		e.note()
		return o, false
	}
	return o, !o.at.IsZero() && done.before(o.date)
}

// nextOf is the next occurrence of a moment; zero if there is none in sight.
func (l *live) nextOf(m moment, p *present) time.Time {
	today := dateOf(p.wall.In(p.zone))
	for ahead := -1; ahead <= lookAhead; ahead++ {
		d := today.add(ahead)
		if at, ok := l.occurs(m, d, p); ok && at.After(p.wall) && l.done[m.text].before(d) {
			return at
		}
	}
	return time.Time{}
}

// keepTime deals with what is due: the latest occurrence is carried out, if it is not
// too late and the condition holds; those before it are missed. While the condition
// is not known and it is not too late, everything waits. due is when it will be.
func (l *live) keepTime(e *Engine, p *present, latest occurrence, all []occurrence) (due time.Time) {
	var doubt doubts
	holds := l.test(l.when, e, &doubt)
	late := p.wall.Sub(latest.at)
	why := strings.Join(doubt.why, "; ")
	if holds == unknown && late <= l.CatchUp {
		l.why = why
		return p.now.Add(l.CatchUp - late + time.Millisecond)
	}
	before := len(all) - 1
	for _, o := range all {
		before += l.missedBefore(o, p)
		l.done[o.text] = o.date
	}
	e.note()
	switch {
	case holds == unknown && late <= l.CatchUp+time.Second: // that is what it has waited for
		l.miss(e, latest, before+1, why)
		return time.Time{}
	case late > l.CatchUp:
		l.miss(e, latest, before+1, fmt.Sprintf("it was found %v late", late.Round(time.Second)))
		return time.Time{}
	}
	if before > 0 {
		l.miss(e, latest, before, "later times of it have come since")
	}
	switch holds {
	case yes:
		l.fire(e, p, latest.at.UTC().Format("20060102T150405Z"), p.now.Add(l.CatchUp-late))
	default:
		e.log.Debug("the condition of a rule does not hold at its time", "rule", l.ID, "at", latest.text)
	}
	return time.Time{}
}

// missedBefore counts the occurrences of a moment between the last one that was
// dealt with and this one.
func (l *live) missedBefore(o occurrence, p *present) (n int) {
	m, err := parseMoment(o.text)
	if err != nil {
		return 0 // it was read before
	}
	d := l.done[o.text].add(1)
	if first := o.date.add(-maxMissed); d.before(first) {
		d = first
	}
	for ; d.before(o.date); d = d.add(1) {
		if _, ok := l.occurs(m, d, p); ok {
			n++
		}
	}
	return n
}

// miss notes that n occurrences were not kept, up to the given one or shortly before.
func (l *live) miss(e *Engine, o occurrence, n int, why string) {
	l.missed += uint64(n)
	l.lastMiss = fmt.Sprintf("%s, %s", o.at.Format("2006-01-02 15:04:05"), why)
	e.log.Warn("a rule has missed its time", "rule", l.ID, "at", o.text, "time", o.at, "reason", why, "missed", n)
}

// often takes a rule with every a step further.
func (l *live) often(e *Engine, p *present) (due time.Time) {
	var doubt doubts
	was := l.inside
	l.inside = l.within(p, &doubt)
	switch {
	case l.inside != yes:
		l.why = strings.Join(doubt.why, "; ")
		return p.after(l.next)
	case was == no: // the window has begun
		l.interval = p.now
	case l.interval.IsZero():
		l.interval = p.now.Add(l.Every)
	}
	if !p.now.Before(l.interval) {
		if l.interval = l.interval.Add(l.Every); !p.now.Before(l.interval) {
			l.interval = p.now.Add(l.Every) // those in between are not made up for
		}
		switch l.test(l.when, e, &doubt) {
		case yes:
			l.fire(e, p, "", p.now.Add(l.Every))
		case unknown:
			l.miss(e, occurrence{text: "every " + span(l.Every), at: p.wall}, 1, strings.Join(doubt.why, "; "))
		}
	}
	return earlier(l.interval, p.after(l.next))
}

// fire carries out the command of a moment, which gives up at until.
func (l *live) fire(e *Engine, p *present, occurrence string, until time.Time) {
	l.fired++
	l.lastFired, l.since = p.now, p.now
	e.order(l, l.do, occurrence, until)
}
