package storeforward

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/fieldpost/fieldpost/gateway"
)

// model is what the queue should be: per lane the messages accepted and
// whether each has been acknowledged.
type model struct {
	q       *Queue
	opts    Options
	bodies  map[gateway.Lane][]string
	acked   map[gateway.Lane]map[uint64]bool
	out     []gateway.MessageID // handed out and not acknowledged, in order
	handed  map[gateway.Lane]uint64
	counter int
}

var modelLanes = []gateway.Lane{"telemetry", "alerts"}

func TestRandomWalksAgreeWithAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "walk")
		if err != nil {
			rt.Fatal(err)
		}
		m := &model{
			opts: testOptions(dir), bodies: make(map[gateway.Lane][]string),
			acked:  map[gateway.Lane]map[uint64]bool{"telemetry": {}, "alerts": {}},
			handed: make(map[gateway.Lane]uint64),
		}
		m.reopen(rt)
		defer func() { _ = m.q.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"append": m.append, "next": m.next, "ack": m.ack, "rewind": m.rewind, "reopen": m.reopen, "": m.check,
		})
	})
}

func (m *model) append(t *rapid.T) {
	lane := rapid.SampledFrom(modelLanes).Draw(t, "lane")
	n := rapid.IntRange(1, 40).Draw(t, "n")
	size := rapid.SampledFrom([]int{1, 300, 5000}).Draw(t, "size")
	var batch []gateway.Message
	for range n {
		m.counter++
		body := fmt.Sprintf("%0*d", size, m.counter)
		m.bodies[lane] = append(m.bodies[lane], body)
		batch = append(batch, msg(lane, body))
	}
	ids, err := m.q.Append(context.Background(), batch...)
	if err != nil {
		t.Fatal(err)
	}
	if want := uint64(len(m.bodies[lane]) - n + 1); ids[0].Seq != want || len(ids) != n {
		t.Fatalf("%d ids from %d, want %d from %d", len(ids), ids[0].Seq, n, want)
	}
}

// expected is the next sequence number to be handed out in a lane; 0 if none.
func (m *model) expected(lane gateway.Lane) uint64 {
	for seq := m.handed[lane] + 1; seq <= uint64(len(m.bodies[lane])); seq++ {
		if !m.acked[lane][seq] {
			return seq
		}
	}
	return 0
}

func (m *model) next(t *rapid.T) {
	if m.expected("telemetry") == 0 && m.expected("alerts") == 0 {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if got, err := m.q.Next(ctx); err == nil {
			t.Fatalf("got %s from an empty queue", got.ID)
		}
		return
	}
	got, err := m.q.Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	lane := got.ID.Lane
	if want := m.expected(lane); got.ID.Seq != want {
		t.Fatalf("got %s, want %d", got.ID, want)
	}
	if string(got.Body) != m.bodies[lane][got.ID.Seq-1] {
		t.Fatalf("%s has another body", got.ID)
	}
	m.handed[lane] = got.ID.Seq
	m.out = append(m.out, got.ID)
}

func (m *model) ack(t *rapid.T) {
	if len(m.out) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.out)-1).Draw(t, "which")
	id := m.out[i]
	m.out = slices.Delete(m.out, i, i+1)
	m.acked[id.Lane][id.Seq] = true
	if err := m.q.Ack(id, id); err != nil {
		t.Fatal(err)
	}
}

func (m *model) rewind(*rapid.T) {
	m.q.Rewind()
	m.forget()
}

func (m *model) forget() {
	m.out = nil
	clear(m.handed)
}

// reopen is a clean restart: acknowledgements up to the first hole survive it.
func (m *model) reopen(t *rapid.T) {
	if m.q != nil {
		if err := m.q.Close(); err != nil {
			t.Fatal(err)
		}
	}
	q, err := Open(m.opts)
	if err != nil {
		t.Fatal(err)
	}
	m.q = q
	m.forget()
	for _, lane := range modelLanes {
		seq := uint64(1)
		for m.acked[lane][seq] {
			seq++
		}
		for later := range m.acked[lane] {
			if later > seq {
				delete(m.acked[lane], later)
			}
		}
	}
}

func (m *model) check(t *rapid.T) {
	for _, s := range m.q.Stats().Lanes {
		if !slices.Contains(modelLanes, s.Lane) {
			continue
		}
		if want := uint64(len(m.bodies[s.Lane]) - len(m.acked[s.Lane])); s.Waiting != want {
			t.Fatalf("lane %s: %d waiting, want %d", s.Lane, s.Waiting, want)
		}
	}
}
