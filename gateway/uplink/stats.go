package uplink

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway/health"
)

// ConditionOffline stands while there is no connection.
const ConditionOffline = "uplink-offline"

// Stats is what the Sender has done since it was made, and how it stands.
type Stats struct {
	Upstream  string `json:"upstream"`
	Connected bool   `json:"connected"`
	// Since is when the connection came up or was lost.
	Since time.Time `json:"since"`
	// LastError is why the last attempt or session ended, until the next
	// session is up.
	LastError string `json:"last_error,omitempty"`
	// NextAttempt is zero while connected or connecting.
	NextAttempt time.Time `json:"next_attempt,omitzero"`
	Published   uint64    `json:"published"`
	// Acknowledged counts messages that the upstream has confirmed.
	Acknowledged uint64 `json:"acknowledged"`
	// Resent counts messages that were in flight when a session ended, and so
	// are sent again.
	Resent uint64 `json:"resent"`
	// Rejected counts messages that can never be sent.
	Rejected   uint64    `json:"rejected"`
	Reconnects uint64    `json:"reconnects"`
	LastPuback time.Time `json:"last_puback,omitzero"`
	// MaxRate is the bound in bytes per second; 0 is none.
	MaxRate int64 `json:"max_rate,omitempty"`
	// Bytes on the socket, by purpose.
	Bytes Usage `json:"bytes"`
	// Plan is nil without a data plan.
	Plan *Standing `json:"data_plan,omitempty"`
}

// state keeps the Stats and the conditions that follow from them.
type state struct {
	board *health.Board
	after time.Duration // offline for so long is worth a condition

	mu       sync.Mutex
	stats    Stats
	sessions uint64
	overdue  *time.Timer // raises ConditionOffline
	over     bool
	// why there is no connection, or none that lasts; standing if its condition
	// was raised.
	why      cause
	standing bool
	calm     *time.Timer // ends what a connection that lasts disproves
}

func newState(o Options) *state {
	return &state{board: o.Health, after: o.OfflineAfter, stats: Stats{Upstream: o.Upstream.Name(), Since: time.Now()}}
}

// begin starts to watch for how long there is no connection.
func (s *state) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Since = time.Now()
	s.overdue = time.AfterFunc(s.after, s.stillOffline)
	s.calm = time.AfterFunc(steady, func() {})
}

func (s *state) snapshot() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

func (s *state) count(add func(*Stats)) {
	s.mu.Lock()
	add(&s.stats)
	s.mu.Unlock()
}

func (s *state) up() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Connected, s.stats.Since = true, time.Now()
	s.stats.LastError, s.stats.NextAttempt = "", time.Time{}
	if s.sessions++; s.sessions > 1 {
		s.stats.Reconnects++
	}
	s.overdue.Stop()
	s.board.Clear(ConditionOffline)
	switch s.why.code {
	case ConditionThrottled, ConditionQuota, ConditionKicked: // a connection alone proves nothing
		s.calm = time.AfterFunc(steady, func() { s.settled(ConditionThrottled, ConditionQuota, ConditionKicked) })
	default:
		s.know(cause{}, nil)
	}
}

// renewing notes the end of a session that another one follows at once.
func (s *state) renewing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.stats.Connected, s.stats.Since, s.stats.NextAttempt = false, now, now
	s.overdue.Reset(s.after)
	s.calm.Stop()
}

// settled ends conditions that a connection alone does not.
func (s *state) settled(codes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(codes, s.why.code) {
		s.know(cause{}, nil)
	}
}

// down notes the end of a session, or of an attempt to open one, and why, as far
// as that is known.
func (s *state) down(err error, why cause, next time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.stats.Connected {
		s.stats.Connected, s.stats.Since = false, now
		s.overdue.Reset(s.after)
		s.calm.Stop()
	}
	s.stats.NextAttempt = now.Add(next)
	if err != nil {
		s.stats.LastError = err.Error()
	}
	if err == nil || why.code != "" {
		s.know(why, err)
	}
	switch {
	case errors.Is(err, ErrRefused), errors.Is(err, ErrNotReady), now.Sub(s.stats.Since) >= s.after:
		s.raiseOffline()
	}
}

// know replaces why there is no connection. What has shown over several
// sessions is raised at once. The caller holds mu.
func (s *state) know(why cause, err error) {
	if s.standing && why.code != s.why.code {
		s.board.Clear(s.why.code)
	}
	s.standing = s.standing && why.code == s.why.code
	s.why = why
	switch why.code {
	case ConditionKicked, ConditionThrottled, ConditionQuota:
		s.raiseWhy(err.Error())
	}
}

func (s *state) raiseWhy(lastError string) {
	if s.why.code != "" {
		s.standing = true
		s.board.Raise(s.why.code, s.why.severity, s.why.summary(lastError))
	}
}

func (s *state) stillOffline() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stats.Connected && !s.over {
		s.raiseOffline()
	}
}

func (s *state) raiseOffline() {
	reason := "still connecting"
	if s.stats.LastError != "" {
		reason = s.stats.LastError
	}
	s.raiseWhy(reason)
	s.board.Raise(ConditionOffline, health.Warning,
		fmt.Sprintf("no connection to %s, messages wait in the queue: %s", s.stats.Upstream, reason))
}

// end takes the conditions back: nobody tries to connect any more.
func (s *state) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over, s.stats.Connected, s.stats.NextAttempt = true, false, time.Time{}
	s.overdue.Stop()
	s.calm.Stop()
	s.board.Clear(ConditionOffline)
	s.know(cause{}, nil)
}
