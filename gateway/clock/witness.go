package clock

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

const (
	// jitter is how far the testimonies of one witness may lie apart: they are
	// late by what the way from the receiver takes.
	jitter = 2 * time.Second
	// pause is how long a witness may be silent without having to begin anew.
	pause = time.Minute
	// patience is how long a witness must agree with itself, and roll how often
	// its testimonies are counted anew, so that the drift of the board's own
	// oscillator does not add up.
	patience = 3 * time.Minute
	roll     = 10 * time.Minute
	// enough is how many testimonies make a witness.
	enough = 10
	// far is how much later than the program was built a time may be. The week
	// counter of GPS, 10 bits, has run over by then: the program is older than any
	// receiver can tell apart.
	far = 1024 * 7 * 24 * time.Hour
	// apart is by how much witnesses, or a witness and a synchronised clock, may
	// differ; leap by how much one that is believed may change its mind: receivers
	// that have just been switched on lack the leap seconds.
	apart = 10 * time.Second
	leap  = time.Minute
)

// witness is a source that says what time it is. What it says is kept as the
// time at which the board was started, which stays the same if it is right.
type witness struct {
	since, last time.Duration // uptimes of its first and its latest testimony
	low, high   time.Time     // between which it puts the start of the board
	count       int
	steady      bool // it has agreed with itself for long enough
}

// hear takes a testimony: the board was started at boot.
func (w *witness) hear(boot time.Time, uptime time.Duration) {
	broken := boot.Sub(w.low) > jitter || w.high.Sub(boot) > jitter
	if w.count == 0 || broken || uptime-w.last > pause {
		*w = witness{since: uptime, low: boot, high: boot}
	}
	if uptime-w.since > roll {
		w.since, w.low, w.high = uptime, boot, boot
	}
	w.last = uptime
	w.count++
	if boot.Before(w.low) {
		w.low = boot
	}
	if boot.After(w.high) {
		w.high = boot
	}
	w.steady = w.steady || w.count >= enough && uptime-w.since >= patience
}

// belief is a witness that is believed.
type belief struct {
	source string
	boot   time.Time     // when the board was started
	at     time.Duration // uptime at which that was taken over
}

// Hear takes a testimony: source says that it is now at. A witness that has
// agreed with itself for some minutes, or at once with another one, and says
// what is possible, corrects Now and makes it trusted, unless the clock of the
// board is synchronised over the network. The clock of the board itself is never
// set. What does not fit together is told by Doubt.
func (s *System) Hear(source string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	uptime := s.uptime()
	w := s.witnesses[source]
	if w == nil {
		w = &witness{}
		s.witnesses[source] = w
	}
	w.hear(at.Add(-uptime), uptime)
	s.doubt = s.judge(uptime)
}

// Doubt says what of the time does not fit together; empty if nothing.
func (s *System) Doubt() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.doubt
}

// judge finds whom to believe, and returns what is doubtful.
func (s *System) judge(uptime time.Duration) (doubt string) {
	var good []string
	for _, source := range slices.Sorted(maps.Keys(s.witnesses)) {
		w := s.witnesses[source]
		switch now := w.high.Add(uptime); {
		case uptime-w.last > pause || !w.steady && !s.seconded(source, w, uptime):
		case now.Before(s.floor):
			doubt = fmt.Sprintf("%s says it is %s, which is before this program was built, and is not believed; the weeks that a receiver counts may have run over (each 19.6 years)", source, now.Format(time.RFC3339))
		case now.After(s.floor.Add(far)):
			doubt = fmt.Sprintf("%s says it is %s, which is too late to be true, and is not believed", source, now.Format(time.RFC3339))
		default:
			good = append(good, source)
		}
	}
	if text := s.compare(good, uptime); text != "" {
		doubt = text
	}
	return doubt
}

// seconded tells whether another witness says the same right now.
func (s *System) seconded(source string, w *witness, uptime time.Duration) bool {
	for other, o := range s.witnesses {
		if other != source && w.count >= enough && o.count >= enough && uptime-o.last <= pause && w.high.Sub(o.high).Abs() <= jitter {
			return true
		}
	}
	return false
}

// compare holds possible witnesses against the clock of the board, each other,
// and what is believed.
func (s *System) compare(good []string, uptime time.Duration) (doubt string) {
	var rest []string
	for _, source := range good {
		if text := s.against(source, uptime); text != "" {
			doubt = text
		} else {
			rest = append(rest, source)
		}
	}
	for _, source := range rest {
		boot, b := s.witnesses[source].high, s.belief.Load()
		var ok bool
		switch {
		case b == nil:
			ok = s.unanimous(source, uptime)
		case b.source == source, !slices.Contains(rest, b.source):
			ok = boot.Sub(b.boot).Abs() <= leap+drift(uptime-b.at)
		default:
			if boot.Sub(b.boot).Abs() > apart {
				doubt = dispute(source, boot, b, uptime)
			}
			continue
		}
		if !ok {
			doubt = dispute(source, boot, b, uptime)
			continue
		}
		s.belief.Store(&belief{source: source, boot: boot, at: uptime})
	}
	return doubt
}

// against holds a witness against the clock of the board, if that is
// synchronised, or has been since the start of this program.
func (s *System) against(source string, uptime time.Duration) (doubt string) {
	if s.kept() {
		s.wasSynced, s.syncedAt = true, uptime
	}
	now, system := s.witnesses[source].high.Add(uptime), s.system()
	if !s.wasSynced || now.Sub(system).Abs() <= apart+drift(uptime-s.syncedAt) {
		return ""
	}
	return fmt.Sprintf("%s says it is %s, but the clock of the board, which is synchronised over the network or was, says %s; %s is not believed",
		source, now.Format(time.RFC3339), system.Format(time.RFC3339), source)
}

// drift is by how much the oscillator of a board may be off after so long: 100 ppm.
func drift(after time.Duration) time.Duration { return after / 10_000 }

// unanimous tells whether no other witness that speaks and can be right says
// something else.
func (s *System) unanimous(source string, uptime time.Duration) bool {
	boot := s.witnesses[source].high
	for _, w := range s.witnesses {
		now := w.high.Add(uptime)
		heard := w.count >= enough && uptime-w.last <= pause
		if heard && !now.Before(s.floor) && now.Before(s.floor.Add(far)) && w.high.Sub(boot).Abs() > apart {
			return false
		}
	}
	return true
}

// dispute says that a witness is at odds with what is believed, or with others.
func dispute(source string, boot time.Time, b *belief, uptime time.Duration) string {
	now := boot.Add(uptime).Format(time.RFC3339)
	if b == nil {
		return fmt.Sprintf("%s says it is %s, and another witness something else, so that none is believed", source, now)
	}
	return fmt.Sprintf("%s says it is %s, but %s, which was believed before, says %s; that is kept until the next start of the gateway",
		source, now, b.source, b.boot.Add(uptime).Format(time.RFC3339))
}
