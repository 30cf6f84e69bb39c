package storeforward

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// Stats is a snapshot of the store. Counters begin when it is opened.
type Stats struct {
	Store string      `json:"store"`
	Lanes []LaneStats `json:"lanes"`
	// Bytes is what all lanes hold; the engine's own files come on top.
	Bytes    int64 `json:"bytes"`
	MaxBytes int64 `json:"max_bytes"`
	// DiskFree is what the file system has left; the store keeps MinFree of it.
	DiskFree int64 `json:"disk_free"`
	MinFree  int64 `json:"min_free"`
	// Commits is the number of synced transactions, Failures that of transactions that
	// failed, as when the disk cannot be written or synced: nothing in them was accepted.
	Commits  uint64 `json:"commits"`
	Failures uint64 `json:"failures"`
	// Opened is when the store was opened.
	Opened time.Time `json:"opened"`
	// BytesAccepted is the size of the bodies accepted.
	BytesAccepted uint64 `json:"bytes_accepted"`
	// DeviceBytes is what the process has really written to storage since then,
	// everything that is not the store's included; 0 where the kernel does not
	// tell, or nothing is written, as in tmpfs.
	DeviceBytes uint64 `json:"device_bytes"`
	// WrittenPerAccepted is the one divided by the other; 0 while nothing was
	// accepted.
	WrittenPerAccepted float64 `json:"written_per_accepted,omitempty"`
	// WrittenEver is what this store has caused to be written in its life, in
	// bytes.
	WrittenEver uint64 `json:"written_ever"`
	// CardYears is how long the card lasts at the rate since the store was
	// opened, by Options.CardBytes; 0 if unknown, as in the first ten minutes.
	CardYears float64 `json:"card_years,omitempty"`
	// Salvage is set if a damaged store was found at the start.
	Salvage *SalvageReport `json:"salvage,omitempty"`
	// Problem says why messages are being refused; empty if they are not.
	Problem      string    `json:"problem,omitempty"`
	ProblemSince time.Time `json:"problem_since,omitzero"`
}

// LaneStats is a snapshot of one lane.
type LaneStats struct {
	Lane gateway.Lane `json:"lane"`
	// Store is the id in the messages' ids: another one than that of the queue
	// in a lane that was inherited.
	Store    string   `json:"store"`
	Priority Priority `json:"priority"`
	Overflow Overflow `json:"overflow"`
	// Waiting is the number of messages not yet acknowledged.
	Waiting uint64 `json:"waiting"`
	Bytes   int64  `json:"bytes"`
	// First is the sequence number of the oldest message that waits, Next that
	// of the next one to be accepted.
	First    uint64 `json:"first"`
	Next     uint64 `json:"next"`
	Accepted uint64 `json:"accepted"`
	Acked    uint64 `json:"acked"`
	// OldestAge is how long the oldest message has waited, at least, in seconds; 0 if
	// none waits.
	OldestAge float64 `json:"oldest_age_s"`
	// Lost counts messages given up, LostBy by the reasons that gap records have, or
	// Removed.
	Lost   uint64                       `json:"lost"`
	LostBy map[gateway.GapReason]uint64 `json:"lost_by,omitempty"`
	// Held: the lane is not being handed out.
	Held bool `json:"held,omitempty"`
	// Gap is the last loss, if no gap record tells of it yet.
	Gap *gateway.Gap `json:"gap,omitempty"`
}

// Stats takes a snapshot.
func (q *Queue) Stats() Stats {
	free, _ := q.opts.free(q.opts.Dir) // 0 if unknown
	s := Stats{
		Store: q.store, MaxBytes: q.opts.MaxBytes, DiskFree: free, MinFree: q.opts.MinFree,
		Commits: q.commits.Load(), Failures: q.failures.Load(), Opened: q.opened.UTC(),
		BytesAccepted: q.bytesAccepted.Load(), DeviceBytes: deviceWritten() - q.writtenBefore,
	}
	if s.BytesAccepted > 0 {
		s.WrittenPerAccepted = float64(s.DeviceBytes) / float64(s.BytesAccepted)
	}
	s.WrittenEver = q.witness.written + s.DeviceBytes
	s.CardYears = q.cardYears(s.WrittenEver, s.DeviceBytes)
	q.mu.Lock()
	defer q.mu.Unlock()
	s.Problem, s.ProblemSince = q.refused.reason, q.refused.since
	for _, l := range q.lanes {
		s.Bytes += l.bytes()
		if l.store == q.store || !l.empty() || l.gap != nil || q.salvaging(l) {
			s.Lanes = append(s.Lanes, q.laneStats(l))
		}
	}
	if q.salvage != nil {
		report := q.salvage.report
		s.Salvage = &report
	}
	slices.SortFunc(s.Lanes, func(a, b LaneStats) int {
		return cmp.Or(strings.Compare(string(a.Lane), string(b.Lane)), strings.Compare(a.Store, b.Store))
	})
	return s
}

func (q *Queue) laneStats(l *lane) LaneStats {
	s := LaneStats{
		Lane: l.name, Store: l.store, Priority: l.Priority, Overflow: l.Overflow,
		Waiting: l.waiting(), Bytes: l.bytes(), First: l.acked + 1, Next: l.next(),
		Accepted: l.count.accepted, Acked: l.count.acked, Held: l.held,
		OldestAge: q.oldestAge(l).Seconds(), Lost: l.count.allLost(), LostBy: maps.Clone(l.count.lost),
	}
	if l.gap != nil {
		g := l.gap.gap(l)
		s.Gap = &g
	}
	return s
}

// cardYears extrapolates from the rate since the store was opened.
func (q *Queue) cardYears(ever, recent uint64) float64 {
	run := time.Since(q.opened)
	if q.opts.CardBytes <= 0 || run < 10*time.Minute || recent == 0 {
		return 0
	}
	const year = 365.25 * 24 * float64(time.Hour)
	left := max(0, float64(q.opts.CardBytes)-float64(ever))
	return left / float64(recent) * float64(run) / year
}
