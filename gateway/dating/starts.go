package dating

import (
	"cmp"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// maxBoots bounds how many boots are remembered. Of older ones nothing is known.
	maxBoots = 100
	// MaxMemory is how many bytes Starts may want to remember.
	MaxMemory = 32 << 10
	// knownEvery is how often it is noted what time it is.
	knownEvery = 24 * time.Hour
)

// Board is the clock of the board: Now is undated while nobody knows the time of day.
type Board interface {
	Now() time.Time
	// Uptime is the time since the board was started.
	Uptime() time.Duration
	// Boot names this run of the board; it may be empty.
	Boot() string
}

// Options of Starts. Board and Memory are required.
type Options struct {
	Board  Board
	Memory gateway.Memory
	Log    *slog.Logger
	// Floor is a time that is over for certain, such as that of the build.
	Floor time.Time
}

// Start is what is known of when the board was started for a boot.
type Start struct {
	// At is zero if it did not become known.
	At time.Time `json:"start,omitzero"`
	// After is a time before the start, and Before one after the end of the boot; both
	// are zero if there is none, or At is known.
	After  time.Time `json:"after,omitzero"`
	Before time.Time `json:"before,omitzero"`
}

type boot struct {
	ID string `json:"id"`
	Start
}

// record is what is kept on the card.
type record struct {
	// Known is a time that it was for certain, not long ago.
	Known time.Time `json:"known,omitzero"`
	// Boots are in order, the last one is this one.
	Boots []boot `json:"boots"`
}

// Starts knows when the board was started, this time and before. It writes to the card
// once or twice a boot, at Stop and once a day. It is safe for concurrent use.
type Starts struct {
	opts Options
	log  *slog.Logger
	boot string // this one

	mu      sync.Mutex
	record  record
	unsaved bool // the record is to be written
	failing bool // the last attempt has failed
}

// NewStarts reads what is remembered, and takes note of this boot.
func NewStarts(o Options) *Starts {
	s := ReadStarts(o)
	s.boot = s.opts.Board.Boot()
	s.Look()
	return s
}

// ReadStarts is what is remembered, for who only wants to look: it learns nothing, and
// needs no Board.
func ReadStarts(o Options) *Starts {
	s := &Starts{opts: o, log: cmp.Or(o.Log, slog.New(slog.DiscardHandler))}
	data, err := o.Memory.Load()
	if err == nil && len(data) > 0 {
		err = json.Unmarshal(data, &s.record)
	}
	if err != nil {
		s.record = record{}
		s.log.Warn("it is not known any more when the board was started before; readings from then without a time stay without", "error", err)
	}
	return s
}

// Of is what is known of a boot.
func (s *Starts) Of(id string) Start {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.find(s.boot); b != nil && b.At.IsZero() {
		s.look() // the time may have become known a moment ago
	}
	if b := s.find(id); b != nil {
		return b.Start
	}
	return Start{}
}

// Look takes note of what is new. It is called every few seconds.
func (s *Starts) Look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
}

// Stop notes what time it is, for the boot that may follow.
func (s *Starts) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.boot != "" && s.learn(0) {
		s.save()
	}
}

// look is called with mu held, like all below.
func (s *Starts) look() {
	if s.boot != "" && (s.learn(knownEvery) || s.unsaved) {
		s.save()
	}
}

// learn brings the record up to date, and tells whether something in it is worth a
// write. The time that it is, is worth one after so long.
func (s *Starts) learn(worth time.Duration) (news bool) {
	now, uptime := s.opts.Board.Now(), s.opts.Board.Uptime()
	_, undated := gateway.Uptime(now)
	mine := s.find(s.boot)
	if mine == nil {
		mine, news = s.add(uptime), true
	}
	if undated {
		return news
	}
	if mine.At.IsZero() {
		mine.Start, news = Start{At: now.Add(-uptime).UTC()}, true
		s.bound(mine.At)
	}
	if news || now.Sub(s.record.Known).Abs() >= worth {
		s.record.Known, news = now.UTC(), true
	}
	return news
}

// add begins the record of this boot.
func (s *Starts) add(uptime time.Duration) *boot {
	b := boot{ID: s.boot, Start: Start{After: s.record.Known}}
	if floor := s.opts.Floor.Add(-uptime).UTC(); !s.opts.Floor.IsZero() && floor.After(b.After) {
		b.After = floor
	}
	s.record.Boots = append(s.record.Boots, b)
	if n := len(s.record.Boots) - maxBoots; n > 0 {
		s.record.Boots = slices.Delete(s.record.Boots, 0, n)
	}
	return &s.record.Boots[len(s.record.Boots)-1]
}

// bound ends the boots whose start did not become known before another one began.
func (s *Starts) bound(began time.Time) {
	for i := range s.record.Boots {
		if b := &s.record.Boots[i]; b.At.IsZero() && b.Before.IsZero() {
			b.Before = began
		}
	}
}

func (s *Starts) find(id string) *boot {
	for i := range s.record.Boots {
		if b := &s.record.Boots[i]; b.ID == id {
			return b
		}
	}
	return nil
}

// save writes the record. Nothing waits for a card that takes no writes: it is tried
// again with the next look.
func (s *Starts) save() {
	data, err := json.Marshal(s.record)
	if err == nil {
		err = s.opts.Memory.Save(data)
	}
	if err != nil && !s.failing {
		s.log.Warn("the start of the board is not on record yet; after a restart of the gateway its readings may have other times", "error", err)
	}
	s.unsaved, s.failing = err != nil, err != nil
}
