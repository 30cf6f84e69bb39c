package rules

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// MaxMemory bounds what an Engine remembers, in bytes.
const MaxMemory = 256 << 10

// maxSaves is how often the memory is written in a minute at most.
const maxSaves = 12

// memo is what a restart must not forget of a rule.
type memo struct {
	// On is that it has begun, at the time Since, and not ended.
	On    bool      `json:"on,omitempty"`
	Since time.Time `json:"since,omitzero"`
	// Told is that a receiver has been told of the beginning, and not of the end.
	Told bool `json:"told,omitempty"`
	// Done has, for each time of day, the date that was dealt with last.
	Done map[string]date `json:"done,omitempty"`
}

func (m memo) empty() bool { return !m.On && !m.Told && len(m.Done) == 0 }

// recall takes up what was remembered. What cannot be read is forgotten: alerts may
// then be told again, and moments in between are not caught up.
func (e *Engine) recall() {
	memos := make(map[string]memo)
	data, err := e.opts.Memory.Load()
	if err == nil && len(data) > 0 {
		err = json.Unmarshal(data, &memos)
	}
	if err != nil {
		e.log.Warn("it is not known any more what the rules have done; alerts that stand are told again", "error", err)
		return
	}
	for _, l := range e.rules {
		m, had := memos[l.ID]
		delete(memos, l.ID)
		if had {
			l.recall(m)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(memos)) {
		if memos[id].Told {
			e.gone = append(e.gone, id)
		}
	}
}

func (l *live) recall(m memo) {
	l.told = m.Told
	l.announced = m.Told
	if l.momentary() {
		for _, at := range l.at {
			if d, had := m.Done[at.text]; had {
				l.done[at.text] = d
			}
		}
		return
	}
	if l.machine.on = m.On; m.On {
		l.since = m.Since
	}
}

// memo is what is to be remembered of a rule.
func (l *live) memo(now time.Time) memo {
	m := memo{Told: l.told, Done: maps.Clone(l.done)}
	if l.machine.on {
		m.On, m.Since = true, l.since
		if since := l.since.Round(0); since != l.since { // by a clock that may have been wrong
			m.Since = now.Add(-time.Since(l.since)).Truncate(time.Second)
		}
	}
	return m
}

// encoded is the memory of all rules, and the number of the last change in it.
func (e *Engine) encoded() (data []byte, change uint64, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	memos := make(map[string]memo)
	for _, l := range e.rules {
		if m := l.memo(e.opts.Clock.Now()); !m.empty() {
			memos[l.ID] = m
		}
	}
	for _, id := range e.gone {
		memos[id] = memo{Told: true}
	}
	data, err = json.Marshal(memos)
	return data, e.change, err
}

// keep writes the memory when something of it has changed, but not too often, and
// a last time when ctx ends.
func (e *Engine) keep(ctx context.Context) {
	saved := "{}" // nothing
	if data, err := e.opts.Memory.Load(); err == nil && len(data) > 0 {
		saved = string(data)
	}
	var last []time.Time
	for ctx.Err() == nil {
		select {
		case <-e.changed:
			if len(last) == maxSaves {
				sleep(ctx, time.Until(last[0].Add(time.Minute)))
				last = last[1:]
			}
			saved = e.save(saved)
			last = append(last, time.Now())
		case <-ctx.Done():
		}
	}
	e.save(saved)
}

// save writes the memory if it is not as it was saved, and returns what is saved.
// What cannot be written holds nothing up.
func (e *Engine) save(saved string) string {
	data, change, err := e.encoded()
	if err == nil && string(data) != saved {
		err = e.opts.Memory.Save(data)
	}
	if err != nil {
		e.log.Warn("what the rules have done could not be noted; a restart may do or tell some of it again", "error", err)
	} else {
		saved = string(data)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kept = change
	e.poke()
	return saved
}

// note has the memory written, and returns the number of the change. mu is held.
func (e *Engine) note() uint64 {
	e.change++
	select {
	case e.changed <- struct{}{}:
	default:
	}
	return e.change
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// endGone tells the end of what rules have told that are no more.
func (e *Engine) endGone(ctx context.Context) {
	e.mu.Lock()
	gone := slices.Clone(e.gone)
	e.mu.Unlock()
	for _, id := range gone {
		a := gateway.Alert{Device: e.opts.Self, ID: id, Time: e.opts.Clock.Now(), Values: map[string]gateway.Value{}}
		err := e.opts.Alerts.Alert(ctx, a, func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.gone = slices.DeleteFunc(e.gone, func(g string) bool { return g == id })
			e.note()
		})
		if err != nil {
			e.log.Warn("the end of the alert of a former rule could not be told", "rule", id, "error", err)
		}
	}
}
