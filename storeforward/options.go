package storeforward

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// Sizes that follow from each other: a transaction of the engine holds at most
// 15 % of a memtable, and one group must fit into it, with the cursors of all
// lanes. Smaller memtables mean less memory in bursts.
const (
	memTableBytes = 2 << 20
	// baseLevelBytes is the size from which a level of the tree is full.
	baseLevelBytes = 2 * memTableBytes
	// MaxBodyBytes bounds the body of one message; it is IoT Hub's limit.
	MaxBodyBytes = 256 << 10
	// MaxAppendBytes bounds what one call of Append can take, and so one group.
	MaxAppendBytes = 280 << 10

	maxLanes   = 100
	chunkBytes = 48 << 10
	// blockBytes holds the largest frame.
	blockBytes = MaxAppendBytes + 4<<10
	epochBytes = 4_000_000
	// MinMaxBytes is the least that Options.MaxBytes can be: the engine's own
	// files and a few epochs.
	MinMaxBytes = 32_000_000
	// engineBytes is what the engine may hold beside the messages: logs,
	// tables under compaction.
	engineBytes = 16 << 20
	// MinMinFree is the least that Options.MinFree can be: no message is taken
	// long before the engine gets short of room.
	MinMinFree = 64_000_000
	// hardFree is what must be free, or in the ballast, for anything at all to be
	// written: the engine maps its files, and dies of SIGBUS when the file system
	// has no block for a page that it writes.
	hardFree = MinMinFree / 2
	// minInodes is how many files it must be possible to make.
	minInodes = 256
)

// Priority decides which lane goes first when several have messages.
type Priority string

const (
	// PriorityHigh gets most of the link while it has messages.
	PriorityHigh Priority = "high"
	// PriorityNormal is the default.
	PriorityNormal Priority = "normal"
)

// Overflow says what happens to a full lane.
type Overflow string

const (
	// DropOldest evicts the oldest messages, with a gap record.
	DropOldest Overflow = "drop-oldest"
	// DropNewest refuses new messages with gateway.ErrFull.
	DropNewest Overflow = "drop-newest"
	// Block makes Append wait for room.
	Block Overflow = "block"
)

// LaneOptions is the policy of one lane.
type LaneOptions struct {
	Priority Priority
	Overflow Overflow
	// TTL is how long a message is worth sending; 0 is for ever. A message is
	// never taken for older than it is, however the clock is stepped.
	TTL time.Duration
	// MaxBytes bounds this lane alone; 0 leaves it to the bound of the store.
	MaxBytes int64
	// MaxMessages bounds how many messages wait in this lane; 0 is no bound.
	MaxMessages int64
	// Backfill is the order after an outage.
	Backfill Backfill
	// Local lanes are kept on the board: Next never hands them out.
	Local bool
	// Outlet names the receiver of the lane, if it is not that of all the others:
	// Queue.Outlet of that name hands it out, not Queue.Next.
	Outlet string
}

// Clock gives the time and says whether it can be believed.
type Clock interface {
	// Now may be undated (gateway.Undated) while it cannot be believed.
	Now() time.Time
	Trusted() bool
	// Uptime is the time since the board was started, sleep included.
	Uptime() time.Duration
	// Boot names this run of the board; it may be empty.
	Boot() string
}

// Options of a store; begin with [Defaults].
type Options struct {
	// Dir is the store's own directory; it is made if it is missing.
	Dir string
	// MaxBytes bounds all lanes together, the engine's files included.
	MaxBytes int64
	// MinFree is how many bytes of the file system stay free.
	MinFree int64
	// CommitAge is the durability window: commits are at least this far apart
	// unless a group is full or urgent. 0 commits without waiting.
	CommitAge time.Duration
	// CommitMessages is the number of messages that make a group full.
	CommitMessages int
	// Lanes are the policies by lane; the lanes of package gateway always exist.
	Lanes map[gateway.Lane]LaneOptions
	// JournalEntries is how many finished commands are remembered, so that a
	// repeated one is answered instead of executed.
	JournalEntries int
	// JournalAge is how long they are remembered at most; 0 is for ever. They also
	// go, the oldest first, once they take more than an eighth of MaxBytes, or
	// 16 MB.
	JournalAge time.Duration
	// Key encrypts what messages and commands say, if it is given: at least
	// MinKeyBytes random bytes. A store keeps needing the key that it was
	// written with.
	Key []byte
	// CardBytes is how much the card can take in its life, for the estimate in
	// Stats; 0 if unknown.
	CardBytes int64
	// Clock is needed; Log may be nil.
	Clock Clock
	Log   *slog.Logger
	// Beat is called each time the committer has got on; nil is allowed.
	Beat func()

	// free tells the free bytes of a directory's file system; tests replace it.
	free func(dir string) (int64, error)
	// board names the hardware; tests replace it.
	board func() string
	// epochBytes is the size from which an epoch is closed; tests make it small.
	epochBytes int64
	// datasync flushes a file to the disk; tests make it fail.
	datasync func(fd int) error
	// step is called at each step of the work; tests kill the process there.
	step func(name string)
}

// Defaults are the options of a small board.
func Defaults(dir string) Options {
	return Options{
		Dir: dir, MaxBytes: 512e6, MinFree: 200e6,
		CommitAge: time.Second, CommitMessages: 256, JournalEntries: 4096,
		free: freeBytes, board: boardName, epochBytes: epochBytes,
		datasync: unix.Fdatasync, step: func(string) {},
	}
}

// builtin are the lanes that every store has, unless Options.Lanes says more.
var builtin = map[gateway.Lane]LaneOptions{
	gateway.LaneTelemetry:  {Priority: PriorityNormal, Overflow: DropOldest, Backfill: BackfillWeave},
	gateway.LaneAlerts:     {Priority: PriorityHigh, Overflow: Block},
	gateway.LaneResults:    {Priority: PriorityHigh, Overflow: Block},
	gateway.LaneGaps:       {Priority: PriorityHigh, Overflow: Block},
	gateway.LaneDeadLetter: {Overflow: DropOldest, MaxBytes: 16 << 20, Local: true},
}

// known names every lane that the options or the package define.
func (o *Options) known() map[gateway.Lane]bool {
	names := make(map[gateway.Lane]bool)
	for name := range builtin {
		names[name] = true
	}
	for name := range o.Lanes {
		names[name] = true
	}
	return names
}

// lane gives the policy of a lane, with every gap filled.
func (o *Options) lane(name gateway.Lane) LaneOptions {
	base, known := builtin[name]
	if !known {
		base = builtin[gateway.LaneTelemetry]
	}
	given := o.Lanes[name]
	base.Priority = cmp.Or(given.Priority, base.Priority, PriorityNormal)
	base.Overflow = cmp.Or(given.Overflow, base.Overflow)
	base.TTL = cmp.Or(given.TTL, base.TTL)
	base.MaxBytes = cmp.Or(given.MaxBytes, base.MaxBytes)
	base.MaxMessages = cmp.Or(given.MaxMessages, base.MaxMessages)
	base.Backfill = cmp.Or(given.Backfill, base.Backfill, BackfillOrder)
	base.Local = given.Local || base.Local
	base.Outlet = given.Outlet
	return base
}

func (o *Options) validate() error {
	if o.Dir == "" || o.Clock == nil {
		return fmt.Errorf("store: a directory and a clock are needed: %w", gateway.ErrInvalid)
	}
	for name, given := range o.Lanes {
		if !gateway.ValidLane(string(name)) {
			return fmt.Errorf("lane %q: want a lower-case letter, then up to 30 of a-z, 0-9 and _: %w", name, gateway.ErrInvalid)
		}
		if given.MaxBytes > 0 && given.MaxBytes < 2*o.epochBytes {
			return fmt.Errorf("lane %s: max_bytes %d: want at least %d: %w", name, given.MaxBytes, 2*o.epochBytes, gateway.ErrInvalid)
		}
	}
	if o.MaxBytes < MinMaxBytes {
		return fmt.Errorf("store: max_bytes %d: want at least %d: %w", o.MaxBytes, MinMaxBytes, gateway.ErrInvalid)
	}
	if o.MinFree < MinMinFree {
		return fmt.Errorf("store: min_free %d: want at least %d: %w", o.MinFree, MinMinFree, gateway.ErrInvalid)
	}
	if o.CommitMessages < 1 || o.JournalEntries < 1 || o.JournalAge < 0 {
		return fmt.Errorf("store: commit messages and journal entries: want at least 1, and no negative age: %w", gateway.ErrInvalid)
	}
	return nil
}
