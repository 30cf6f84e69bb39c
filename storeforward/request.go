package storeforward

import (
	"slices"

	"github.com/fieldpost/fieldpost/gateway"
)

// request is what one caller wants written; the committer writes many in one
// transaction and answers each.
type request struct {
	// rows are the messages, in their order.
	rows []row
	// spans leave the queue for another reason than an acknowledgement; a gap
	// record explains each that is not Removed.
	spans []span
	// chunks are brought over from a store that is being salvaged.
	chunks []salvaged
	// puts and deletes are the journal's.
	puts    []keyValue
	deletes [][]byte
	// undo is what puts replace: a write that fails may leave them on disk.
	undo []keyValue
	// urgent requests do not wait for the group to fill.
	urgent bool
	// exempt requests are written whatever the bounds of the lanes say.
	exempt bool

	// done is answered once; ids are valid if the answer is nil.
	done chan error
	ids  []gateway.MessageID
}

// row is a run of messages of a request that go into one lane.
type row struct {
	lane     *lane
	messages []gateway.Message
	// bytes bounds from above what their records take.
	bytes int
}

type keyValue struct{ key, value []byte }

// Removed is the reason of what leaves without a gap record: local messages,
// which no receiver misses.
const Removed gateway.GapReason = "removed"

// span is a run of sequence numbers of one lane, both ends included.
type span struct {
	lane   *lane
	first  uint64
	last   uint64
	reason gateway.GapReason
	detail string
}

// size bounds from above what the request adds to a transaction.
func (r *request) size() int {
	n := 0
	for _, row := range r.rows {
		n += row.bytes
	}
	for _, c := range r.chunks {
		n += c.size()
	}
	for _, kv := range r.puts {
		n += len(kv.key) + len(kv.value)
	}
	return n + 1024*len(r.spans) + 16*len(r.deletes)
}

// count is the number of messages.
func (r *request) count() (n int) {
	for _, row := range r.rows {
		n += len(row.messages)
	}
	return n
}

// blocks reports whether the caller waits for room when there is none.
func (r *request) blocks() bool {
	return !slices.ContainsFunc(r.rows, func(row row) bool { return row.lane.Overflow != Block })
}
