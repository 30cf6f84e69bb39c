package iothub

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/uplinktest"
)

// ledger is an inbox that is full now and then, and a hook of the hub that
// sees which commands are acknowledged. It holds the one against the other.
type ledger struct {
	mochi.HookBase

	mu         sync.Mutex
	onWay      map[packetID][]string // command ids; mochi may use a packet id again too soon
	journalled map[string]bool
	acked      map[string]bool
	early      []string // acknowledged and not journalled
}

type packetID struct {
	client *mochi.Client // another one for each connection
	number uint16
}

func (l *ledger) Accept(_ context.Context, cmd gateway.Command) error {
	time.Sleep(rand.N(2 * time.Millisecond))
	if rand.N(100) == 0 {
		return gateway.ErrFull
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.journalled[cmd.ID] = true
	return nil
}

func (l *ledger) Refuse(context.Context, gateway.Command, []byte, string) error {
	return gateway.ErrFull
}

func (l *ledger) Call(context.Context, gateway.Command) (func(context.Context) (gateway.Result, error), error) {
	return nil, gateway.ErrFull
}

func (l *ledger) Provides(b byte) bool {
	return bytes.IndexByte([]byte{mochi.OnQosPublish, mochi.OnPacketRead}, b) >= 0
}

func (l *ledger) OnQosPublish(cl *mochi.Client, pk packets.Packet, _ int64, _ int) {
	if _, id, ok := strings.Cut(pk.TopicName, "%24.mid="); ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		at := packetID{cl, pk.PacketID}
		l.onWay[at] = append(l.onWay[at], id)
	}
}

func (l *ledger) OnPacketRead(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if pk.FixedHeader.Type == packets.Puback {
		l.mu.Lock()
		defer l.mu.Unlock()
		at := packetID{cl, pk.PacketID}
		id := l.onWay[at][0]
		l.onWay[at] = l.onWay[at][1:]
		l.acked[id] = true
		if !l.journalled[id] {
			l.early = append(l.early, id)
		}
	}
	return pk, nil
}

// due are the oldest of the first n commands that are not acknowledged, 50 at
// most, as the hub has it.
func (l *ledger) due(n int) (ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range n {
		if id := fmt.Sprint("c", i); !l.acked[id] && len(ids) < 50 {
			ids = append(ids, id)
		}
	}
	return ids
}

// deliver sends all that is due. A hub does so itself; mochi forgets commands
// whose packet id is also that of a message, so the test does, now and then.
func (h *hub) deliver(l *ledger, n int) {
	for _, id := range l.due(n) {
		h.send("%24.mid="+id, `{"device":"pump","action":"set"}`, false)
	}
}

// TestStorm: commands and messages, while the line is cut and the token ends
// again and again. No command is acknowledged before it is journalled, each
// is in the end; no more than the windows in flight are repeated, and nothing
// comes for the first time out of order.
func TestStorm(t *testing.T) {
	const commands, messages, cuts = 300, 1500, 1500 / 180
	h := startHub(t)
	l := &ledger{onWay: map[packetID][]string{}, journalled: map[string]bool{}, acked: map[string]bool{}}
	if err := h.server.AddHook(l, nil); err != nil {
		t.Fatal(err)
	}
	h.acked = make(chan struct{}, 100_000)
	u, err := New(h.config, Parts{Clock: h.clock, Inbox: l})
	if err != nil {
		t.Fatal(err)
	}
	u.config.TokenTTL = 1500 * time.Millisecond // shorter than a config may say
	store := &uplinktest.Store{}
	sender, err := uplink.New(uplink.Options{
		Store: store, Upstream: u, MinBackoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sender.Run(ctx) }()
	for i := range messages {
		store.Add([]byte(`{}`))
		switch i % 180 {
		case 90:
			h.deliver(l, commands)
		case 179:
			awaitConnected(t, sender) // a cut of a line that is down is none
			h.Cut()
		}
		time.Sleep(2 * time.Millisecond)
	}
	for end := time.Now().Add(30 * time.Second); l.due(commands) != nil && time.Now().Before(end); {
		h.deliver(l, commands)
		time.Sleep(200 * time.Millisecond)
	}
	if err := store.WaitLeft(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := await(t, ended); err != nil {
		t.Error(err)
	}
	if due := l.due(commands); len(l.early) > 0 || len(due) > 0 || len(l.journalled) != commands {
		t.Errorf("%d commands journalled; acknowledged before that: %v; never: %v", len(l.journalled), l.early, due)
	}
	repeats := inOrder(t, h.Arrived(), messages)
	if s := sender.Stats(); s.Reconnects < cuts/2 || // a cut may strike while the token is renewed
		repeats > int(s.Resent) || s.Resent > s.Reconnects*8 {
		t.Errorf("%d repeats, %+v", repeats, s)
	}
}

func awaitConnected(t *testing.T, s *uplink.Sender) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !s.Stats().Connected; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not connected: %+v", s.Stats())
		}
	}
}

// inOrder fails unless the first arrivals are 1 to n in order, and counts the
// others.
func inOrder(t *testing.T, arrived []string, n int) (repeats int) {
	t.Helper()
	seen := map[string]bool{}
	for _, id := range arrived {
		switch want := fmt.Sprintf("mem-telemetry-%d", len(seen)+1); {
		case seen[id]:
			repeats++
		case id != want:
			t.Fatalf("%s came for the first time where %s was due", id, want)
		}
		seen[id] = true
	}
	if len(seen) != n {
		t.Errorf("%d messages arrived, want %d", len(seen), n)
	}
	return repeats
}
