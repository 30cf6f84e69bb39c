package storeforward

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// loss is a run of messages of one lane that were given up for one reason. It
// is on disk from the transaction that removes them, and grows while more of
// the same follows; then it becomes a gap record for the receiver.
type loss struct {
	interval
	reason gateway.GapReason
	detail string
	time   time.Time // of its beginning, by the wall clock
	boot   string    // in which it began, if time is undated

	// On the monotonic clock; zero for one that was found on disk.
	began, grew time.Time
}

const (
	// gapRest is how long a loss must not have grown to become a gap record.
	gapRest = time.Second
	// gapAge is how long one that goes on growing is kept back.
	gapAge = 30 * time.Second
)

// due reports whether the loss is to be told.
func (s *loss) due(now time.Time) bool {
	return now.Sub(s.grew) >= gapRest || now.Sub(s.began) >= gapAge
}

// continues reports whether a span carries the loss on.
func (s *loss) continues(more span) bool {
	return s.reason == more.reason && s.detail == more.detail && more.first == s.last+1
}

func (s *loss) gap(l *lane) gateway.Gap {
	return gateway.Gap{
		Boot: s.boot, Store: l.store, Lane: l.name, First: s.first, Last: s.last, Count: s.last - s.first + 1,
		Reason: s.reason, Detail: s.detail, Time: s.time.UTC(),
	}
}

// gapMessage is the record that explains a loss.
func gapMessage(g gateway.Gap) gateway.Message {
	body, _ := json.Marshal(g) // plain strings and numbers always encode
	return gateway.Message{
		ID: gateway.MessageID{Lane: gateway.LaneGaps}, Kind: gateway.KindGap,
		Created: g.Time, ContentType: "application/json", Body: body,
	}
}

func lossFrame(l *lane, s *loss) frame {
	body, _ := json.Marshal(s.gap(l))
	return frame{kind: frameGap, store: l.store, lane: l.number, first: s.first, payload: body}
}

// openLoss reads what lossFrame made.
func openLoss(f frame, sealer *sealer) (*gateway.Gap, error) {
	f, err := sealer.open(f)
	if err != nil {
		return nil, err
	}
	var g gateway.Gap
	if err := json.Unmarshal(f.payload, &g); err != nil || g.First == 0 || g.Last < g.First {
		return nil, fmt.Errorf("loss: %w", errDamaged)
	}
	return &g, nil
}

func newLoss(g *gateway.Gap) *loss {
	return &loss{interval: interval{g.First, g.Last}, reason: g.Reason, detail: g.Detail, time: g.Time, boot: g.Boot}
}
