package storeforward

import (
	"encoding/json"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// request is what one caller wants written; the committer writes many in one
// transaction and answers each.
type request struct {
	messages []gateway.Message
	// spans leave the queue for another reason than an acknowledgement; a gap
	// record explains each.
	spans []span
	// puts and deletes are the journal's.
	puts    []keyValue
	deletes [][]byte
	// urgent requests do not wait for the group to fill.
	urgent bool
	// exempt requests are written whatever the bounds of the lanes say.
	exempt bool

	// done is answered once; ids are valid if the answer is nil.
	done chan error
	ids  []gateway.MessageID
}

type keyValue struct{ key, value []byte }

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
	for _, m := range r.messages {
		n += recordSize(m)
	}
	for _, kv := range r.puts {
		n += len(kv.key) + len(kv.value)
	}
	return n + 512*len(r.spans) + 16*len(r.deletes)
}

// gapMessage is the record that explains a span.
func gapMessage(store string, s span, now time.Time) gateway.Message {
	body, _ := json.Marshal(gateway.Gap{ // plain strings and numbers always encode
		Store: store, Lane: s.lane.name, First: s.first, Last: s.last, Count: s.last - s.first + 1,
		Reason: s.reason, Detail: s.detail, Time: now.UTC(),
	})
	return gateway.Message{
		ID: gateway.MessageID{Lane: gateway.LaneGaps}, Kind: gateway.KindGap,
		Created: now.UTC(), ContentType: "application/json", Body: body,
	}
}
