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
	hearts     map[string]*Heart
}

// NewBoard returns an empty board that logs changes to log.
func NewBoard(log *slog.Logger) *Board {
	return &Board{state: &state{
		log: log, now: time.Now,
		conditions: make(map[string]Condition),
		hearts:     make(map[string]*Heart),
	}}
}

// Of is a view of the board for one of several parts that have the same
// conditions: their codes, and the names of hearts, end in :part there.
func (b *Board) Of(part string) *Board {
	return &Board{state: b.state, part: b.part + ":" + part}
}

// Raise states a condition. Raising it again only updates the summary, and
// is logged only if that changed.
func (b *Board) Raise(code string, severity Severity, summary string) {
	code += b.part
	b.mu.Lock()
	old, had := b.conditions[code]
	c := Condition{Code: code, Severity: severity, Summary: summary, Since: b.now()}
	if had {
		c.Since = old.Since
	}
	b.conditions[code] = c
	b.mu.Unlock()
	if had && old.Summary == summary && old.Severity == severity {
		return
	}
	level := slog.LevelWarn
	if severity == Error {
		level = slog.LevelError
	}
	b.log.Log(context.Background(), level, "health condition", "code", code, "summary", summary)
}

// Clear ends a condition; clearing one that is not raised does nothing.
func (b *Board) Clear(code string) {
	code += b.part
	b.mu.Lock()
	old, had := b.conditions[code]
	delete(b.conditions, code)
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
