package link

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Memory is what a gateway knows of one microcontroller from one Conn to the next:
// the session, what was told and not taken yet, the descriptor, the counts. One
// Conn at a time uses it.
type Memory struct {
	inbox inbox

	mu       sync.Mutex
	number   uint16 // of the last session that was proposed
	attempts uint16 // of that one, over all Conns
	open     bool   // it was not answered yet
	agreed   uint16 // the last session in force; 0: none since the gateway's start
	first    Start  // how the first session of all began, until the second has
	stats    Stats
	counted  bool // Failsafes is that of before, in the same command

	cached     *Descriptor
	cachedHash uint32
	cachedSize uint16
}

// NewMemory is the memory of a gateway that knows nothing yet.
func NewMemory() *Memory {
	return &Memory{
		number: uint16(rand.Uint32()), //nolint:gosec // no secret: it must differ from the last ones
		inbox:  inbox{more: make(chan struct{}, 1)},
	}
}

// Stats count what has happened since the gateway's start.
type Stats struct {
	FramesIn, FramesOut uint64
	// Damaged frames were dropped here, PeerDamaged by the microcontroller (since
	// its reset, modulo 2^16).
	Damaged     uint64
	PeerDamaged uint16
	// Foreign frames are of another session or version, malformed, or belong to
	// no request.
	Foreign uint64
	// Requests were sent, Retries sent again; Timeouts had no answer at all.
	Requests, Retries, Timeouts uint64
	// Sessions have begun; Resets were of the microcontroller.
	Sessions, Resets uint64
	// Readings have arrived; Lost ones never will. Repeats were asked for.
	Readings, Lost, Repeats uint64
	// Failsafes is how often fail-safe was taken since the reset, modulo 256. Noticed
	// counts those that were taken while this gateway was in command.
	Failsafes uint8
	Noticed   uint64
	// RoundTrip is the mean of about the last eight heartbeats; 0: none yet.
	RoundTrip time.Duration
}

// Stats returns the counts.
func (m *Memory) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stats
}

func (m *Memory) count(f func(*Stats)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.stats)
}

// began counts a session, and says how many there were. What a microcontroller has counted
// it begins anew with a reset, and is not known of the time of another gateway.
func (m *Memory) began(start Start) (sessions uint64) {
	m.count(func(s *Stats) {
		s.Sessions++
		sessions = s.Sessions
		if start == Booted {
			s.Resets++
			s.Failsafes, s.PeerDamaged = 0, 0
		}
		if start != Resumed {
			m.counted = start == Booted
		}
	})
	return sessions
}

// heard keeps what a heartbeat has said.
func (m *Memory) heard(p pong, roundTrip time.Duration) {
	m.count(func(s *Stats) {
		if m.counted {
			s.Noticed += uint64(p.failsafes - s.Failsafes)
		}
		m.counted = true
		s.PeerDamaged, s.Failsafes = p.errors, p.failsafes
		if s.RoundTrip == 0 {
			s.RoundTrip = roundTrip
		}
		s.RoundTrip += (roundTrip - s.RoundTrip) / 8
	})
}

// propose is the number of the next session. It stays the same until agree.
func (m *Memory) propose() uint16 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.open {
		if m.number++; m.number == 0 {
			m.number = 1
		}
		m.open, m.attempts = true, 0
	}
	return m.number
}

// attempt is the number of the next attempt to begin the session that is proposed.
func (m *Memory) attempt() uint16 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.attempts++
	return m.attempts
}

// agree says that the microcontroller has answered what was proposed, and returns
// how that relates to what was before. Fresh: there was no session before, so that
// this one may be the microcontroller's own by chance, and another has to follow.
func (m *Memory) agree(h Hello) (start Start, fresh bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fresh = m.agreed == 0
	switch h.Last {
	case 0:
		start = Booted
	case m.agreed:
		start = Resumed
	default:
		start = Taken
	}
	start = max(start, m.first)
	m.first = Resumed
	if fresh {
		m.first = start
	}
	m.agreed, m.open = m.number, false
	return start, fresh
}
