package rules

import "time"

const (
	// suspension is how long a rule that begins too often is left alone.
	suspension = 10 * time.Minute
	// counted is the time in which it is counted how often.
	counted = time.Minute
)

// machine is the state of a rule that has one. Its times are monotonic.
type machine struct {
	// holdFor, minInterval and maxPerMinute are those of the Rule.
	holdFor, minInterval time.Duration
	maxPerMinute         int

	on bool
	// holding is since when it has been known, without a denial, that the rule is
	// to begin; zero if it is not.
	holding time.Time
	// unsure is that this is not known now.
	unsure bool
	// last is when it last began, and begins has the beginnings of the last minute.
	last   time.Time
	begins []time.Time
	// suspended is until when nothing begins; zero if something may.
	suspended time.Time
}

// change is what has become of a rule.
type change int8

const (
	unchanged change = iota
	began
	ended
	suspended
)

// step takes what is known of whether the rule is to begin, and to end.
func (m *machine) step(begins, ends verdict, now time.Time) change {
	if m.on {
		m.unsure = ends == unknown
		if ends != yes {
			return unchanged
		}
		m.on, m.holding = false, time.Time{}
		return ended
	}
	m.unsure = begins == unknown
	switch {
	case begins == no:
		m.holding = time.Time{}
	case begins == yes && m.holding.IsZero():
		m.holding = now
	}
	if due := m.due(); due.IsZero() || now.Before(due) {
		return unchanged
	}
	if !m.suspended.IsZero() {
		m.suspended, m.begins = time.Time{}, nil
	}
	if m.tooOften(now) {
		m.suspended = now.Add(suspension)
		return suspended
	}
	m.on, m.holding = true, time.Time{}
	m.last, m.begins = now, append(m.begins, now)
	return began
}

// tooOften tells whether the rule has begun as often as it may.
func (m *machine) tooOften(now time.Time) bool {
	for len(m.begins) > 0 && now.Sub(m.begins[0]) >= counted {
		m.begins = m.begins[1:]
	}
	return len(m.begins) >= m.maxPerMinute
}

// due is when the rule begins if nothing changes; zero is never.
func (m *machine) due() time.Time {
	if m.on || m.unsure || m.holding.IsZero() {
		return time.Time{}
	}
	due := m.holding.Add(m.holdFor)
	if !m.last.IsZero() {
		due = later(due, m.last.Add(m.minInterval))
	}
	return later(due, m.suspended)
}

// isSuspended tells whether the rule is left alone.
func (m *machine) isSuspended(now time.Time) bool { return now.Before(m.suspended) }

// silence forgets for how long the condition has held: nobody knows any more.
func (m *machine) silence() { m.holding = time.Time{} }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// earlier is the earlier of two times of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
