package uplink_test

import (
	"context"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/storeforward"
)

// boardClock is a clock for a store in virtual time.
type boardClock struct{ started time.Time }

func (boardClock) Now() time.Time          { return time.Now() }
func (boardClock) Trusted() bool           { return true }
func (c boardClock) Uptime() time.Duration { return time.Since(c.started) }
func (boardClock) Boot() string            { return "boot" }

func openStore(t *testing.T) *storeforward.Queue {
	t.Helper()
	o := storeforward.Defaults(t.TempDir())
	o.MinFree = storeforward.MinMinFree
	o.Clock = boardClock{time.Now()}
	q, err := storeforward.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func fill(t *testing.T, q *storeforward.Queue, n int, body []byte) {
	t.Helper()
	for n > 0 {
		group := make([]gateway.Message, min(n, 500))
		for i := range group {
			group[i] = gateway.Message{
				ID: gateway.MessageID{Lane: gateway.LaneTelemetry}, Kind: gateway.KindTelemetry,
				Created: time.Now(), ContentType: "application/json", Body: body,
			}
		}
		if _, err := q.Append(context.Background(), group...); err != nil {
			t.Fatal(err)
		}
		n -= len(group)
	}
}

// TestLiveReadingsStayFresh drains a backlog that takes a quarter of an hour at the
// rate, while readings go on and the link is lost for a while: what is read
// with the link there is at the hub within 10 s of virtual time, nothing is
// missing, and both rows are in order.
func TestLiveReadingsStayFresh(t *testing.T) {
	const (
		backlog = 25_000
		body    = 300    // bytes
		perSec  = 10_000 // bytes
	)
	synctest.Test(t, func(t *testing.T) {
		q := openStore(t)
		fill(t, q, backlog, make([]byte, body))
		var down atomic.Bool
		r := run(t, 0, func(_ int, s *fakeSession) error {
			if s.auto = true; down.Load() {
				return gateway.ErrUnavailable
			}
			return nil
		}, rate(perSec), func(o *uplink.Options) { o.Store = q })
		born := []time.Time{}
		for ; r.Stats().Acknowledged < uint64(backlog+len(born)); time.Sleep(100 * time.Millisecond) {
			switch len(born) { // one each second
			case 300:
				down.Store(true)
				r.hub.session(0).lose(errCut)
			case 700:
				down.Store(false)
			}
			born = append(born, time.Now())
			fill(t, q, 1, make([]byte, body))
		}
		r.stop()
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		if len(born) < 800 {
			t.Fatalf("drained after %d live messages, want the link to be busy for longer", len(born))
		}
		arrived := make([]bool, backlog+len(born))
		for i := range 2 {
			s := r.hub.session(i)
			checkFresh(t, s, backlog, born)
			checkRows(t, s.seqs)
			for _, seq := range s.seqs {
				arrived[seq-1] = true
			}
		}
		if i := slices.Index(arrived, false); i >= 0 {
			t.Errorf("message %d never arrived", i+1)
		}
	})
}

// checkFresh fails if a message that was made during the session, number
// backlog+1+i at born[i], took more than 10 s.
func checkFresh(t *testing.T, s *fakeSession, backlog int, born []time.Time) {
	t.Helper()
	made, worst := 0, time.Duration(0)
	for i, seq := range s.seqs {
		if n := int(seq) - backlog - 1; n >= 0 && born[n].After(s.opened) {
			made++
			worst = max(worst, s.at[i].Sub(born[n]))
		}
	}
	if made < 200 || worst > 10*time.Second {
		t.Errorf("of %d messages that were made meanwhile one took %v to arrive", made, worst)
	}
	t.Logf("%d messages, %d of them made meanwhile; the slowest took %v", len(s.seqs), made, worst)
}

// checkRows fails unless a border parts the messages into two rows, each in its
// order.
func checkRows(t *testing.T, seqs []uint64) {
	t.Helper()
	border, least := uint64(math.MaxUint64), uint64(math.MaxUint64)
	for _, seq := range slices.Backward(seqs) {
		if seq > least { // something older comes later
			border = min(border, seq)
		}
		least = min(least, seq)
	}
	var back, live uint64
	for _, seq := range seqs {
		row := &back
		if seq >= border {
			row = &live
		}
		if seq <= *row {
			t.Fatalf("message %d came after %d", seq, *row)
		}
		*row = seq
	}
}
