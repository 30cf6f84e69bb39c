package storeforward

import (
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
	// Commits is the number of synced transactions.
	Commits uint64 `json:"commits"`
	// Opened is when the store was opened.
	Opened time.Time `json:"opened"`
	// BytesAccepted is the size of the bodies accepted.
	BytesAccepted uint64 `json:"bytes_accepted"`
	// DeviceBytes is what the process has really written to storage since then,
	// everything that is not the store's included; 0 where the kernel does not
	// tell, or nothing is written, as in tmpfs.
	DeviceBytes uint64 `json:"device_bytes"`
	// Problem says why messages are being refused; empty if they are not.
	Problem      string    `json:"problem,omitempty"`
	ProblemSince time.Time `json:"problem_since,omitzero"`
}

// LaneStats is a snapshot of one lane.
type LaneStats struct {
	Lane     gateway.Lane `json:"lane"`
	Priority Priority     `json:"priority"`
	Overflow Overflow     `json:"overflow"`
	// Waiting is the number of messages not yet acknowledged.
	Waiting uint64 `json:"waiting"`
	Bytes   int64  `json:"bytes"`
	// First is the sequence number of the oldest message that waits, Next that
	// of the next one to be accepted.
	First    uint64 `json:"first"`
	Next     uint64 `json:"next"`
	Accepted uint64 `json:"accepted"`
	Acked    uint64 `json:"acked"`
	// Lost counts messages given up; a gap record explains each.
	Lost uint64 `json:"lost"`
}

// Stats takes a snapshot.
func (q *Queue) Stats() Stats {
	free, _ := q.opts.free(q.opts.Dir) // 0 if unknown
	s := Stats{
		Store: q.store, MaxBytes: q.opts.MaxBytes, DiskFree: free, MinFree: q.opts.MinFree,
		Commits: q.commits.Load(), Opened: q.opened.UTC(),
		BytesAccepted: q.bytesAccepted.Load(), DeviceBytes: deviceWritten() - q.writtenBefore,
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	s.Problem, s.ProblemSince = q.refused.reason, q.refused.since
	for _, l := range q.lanes {
		s.Bytes += l.bytes()
		s.Lanes = append(s.Lanes, LaneStats{
			Lane: l.name, Priority: l.Priority, Overflow: l.Overflow,
			Waiting: l.waiting(), Bytes: l.bytes(), First: l.acked + 1, Next: l.next(),
			Accepted: l.count.accepted, Acked: l.count.acked, Lost: l.count.lost,
		})
	}
	slices.SortFunc(s.Lanes, func(a, b LaneStats) int { return strings.Compare(string(a.Lane), string(b.Lane)) })
	return s
}
