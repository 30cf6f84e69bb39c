// Package health keeps the named conditions of the gateway: what is wrong
// now, since when, and what to do about it. Each change is one log line.
package health

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Severity of a condition.
type Severity string

const (
	// Warning says that the gateway works with a limitation, for example offline.
	Warning Severity = "warning"
	// Error says that something promised does not hold until it is mended.
	Error Severity = "error"
)

// Condition is one thing that is wrong now.
type Condition struct {
	// Code is stable and unique, for example "uplink-offline" or "device:air".
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	// Summary says what is wrong and what to do about it.
	Summary string    `json:"summary"`
	Since   time.Time `json:"since"`
}

// Board holds the conditions and the hearts of one gateway. It is safe for
// concurrent use.
type Board struct {
	*state
	// part is appended to what is raised and registered by this view.
	part string
}

// state is shared by all views of a board.
type state struct {
	log *slog.Logger
	now func() time.Time

	mu         sync.Mutex
	conditions map[string]Condition
	logged     map[string]string // the summary of each condition in the log
	hearts     map[string]*Heart
}

// NewBoard returns an empty board that logs changes to log.
func NewBoard(log *slog.Logger) *Board {
	return &Board{state: &state{
		log: log, now: time.Now,
		conditions: make(map[string]Condition), logged: make(map[string]string),
		hearts: make(map[string]*Heart),
	}}
}

// Of is a view of the board for one of several parts that have the same
// conditions: their codes, and the names of hearts, end in :part there.
func (b *Board) Of(part string) *Board {
	return &Board{state: b.state, part: b.part + ":" + part}
}

// Raise states a condition. Raising it again only updates the summary, and
// is logged only if that is not in the log yet.
func (b *Board) Raise(code string, severity Severity, summary string) {
	code += b.part
	if !b.raise(code, severity, summary) {
		return
	}
	level := slog.LevelWarn
	if severity == Error {
		level = slog.LevelError
	}
	b.log.Log(context.Background(), level, "health condition", "code", code, "summary", summary)
}

// raise reports whether it is worth a line.
func (s *state) raise(code string, severity Severity, summary string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, had := s.conditions[code]
	c := Condition{Code: code, Severity: severity, Summary: summary, Since: s.now()}
	if had {
		c.Since = old.Since
	}
	known := had && s.logged[code] == summary && old.Severity == severity
	s.conditions[code], s.logged[code] = c, summary
	return !known
}

// Restate updates the summary of a condition that stands, without a line: for
// what changes more often than is worth one. A Raise will log it.
func (b *Board) Restate(code, summary string) {
	code += b.part
	b.mu.Lock()
	defer b.mu.Unlock()
	if c, had := b.conditions[code]; had {
		c.Summary = summary
		b.conditions[code] = c
	}
}

// Clear ends a condition; clearing one that is not raised does nothing.
func (b *Board) Clear(code string) {
	code += b.part
	b.mu.Lock()
	old, had := b.conditions[code]
	delete(b.conditions, code)
	delete(b.logged, code)
	b.mu.Unlock()
	if had {
		b.log.Info("health condition over", "code", code, "lasted", b.now().Sub(old.Since).Round(time.Second))
	}
}

// Conditions lists what is wrong now, in the order of their codes.
func (b *Board) Conditions() []Condition {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]Condition, 0, len(b.conditions))
	for _, c := range b.conditions {
		list = append(list, c)
	}
	slices.SortFunc(list, func(x, y Condition) int { return strings.Compare(x.Code, y.Code) })
	return list
}
