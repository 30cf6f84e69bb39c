package upload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// memory is a hub and a storage that can be made to fail at any step.
type memory struct {
	// at is asked at each step, before it is taken: an error that wraps errLost
	// lets it be taken, and loses the answer.
	at func(step int, what string) error

	deaf bool // to the end of contexts

	mu      sync.Mutex
	step    int
	tickets map[string]bool // open ones
	numbers int
	staged  map[string][]byte
	blob    []byte
	written bool
	content Content
	reports []Outcome
	puts    int
}

var errLost = errors.New("the answer is lost")

func newMemory() *memory {
	return &memory{tickets: map[string]bool{}, staged: map[string][]byte{}, at: func(int, string) error { return nil }}
}

func (m *memory) Open(context.Context) (Session, error) { return memorySession{m}, nil }

type memorySession struct{ *memory }

func (memorySession) Close() {}

// do takes one step.
func (m *memory) do(ctx context.Context, what string, act func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.step++
	fault := m.at(m.step, what)
	if fault == nil && ctx.Err() != nil && !m.deaf {
		return ctx.Err()
	}
	if fault != nil && !errors.Is(fault, errLost) {
		return fault
	}
	return errors.Join(act(), fault)
}

func (m memorySession) Begin(ctx context.Context, name string) (t Ticket, err error) {
	return t, m.do(ctx, "begin", func() error {
		if len(m.tickets) >= 10 {
			return errors.New("too many tickets")
		}
		m.numbers++
		t = Ticket{Correlation: fmt.Sprint("c", m.numbers), Host: "h", Container: "c", Blob: "d1/" + name, Token: "t"}
		m.tickets[t.Correlation] = true
		return nil
	})
}

func (m memorySession) Blocks(ctx context.Context, t Ticket) (list map[string]int64, err error) {
	list = map[string]int64{}
	return list, m.do(ctx, "blocks", func() error {
		if !m.tickets[t.Correlation] {
			return ErrTicket
		}
		for id, b := range m.staged {
			list[id] = int64(len(b))
		}
		return nil
	})
}

func (m memorySession) Put(ctx context.Context, t Ticket, id string, body io.Reader, size int64) error {
	data, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	return m.do(ctx, "put", func() error {
		if !m.tickets[t.Correlation] {
			return ErrTicket
		}
		if int64(len(data)) != size {
			return fmt.Errorf("%d bytes, want %d", len(data), size)
		}
		m.staged[id] = data
		m.puts++
		return nil
	})
}

func (m memorySession) Commit(ctx context.Context, t Ticket, ids []string, c Content) error {
	return m.do(ctx, "commit", func() error {
		if !m.tickets[t.Correlation] {
			return ErrTicket
		}
		var all []byte
		for _, id := range ids {
			b, ok := m.staged[id]
			if !ok {
				return ErrBlocks
			}
			all = append(all, b...)
		}
		m.blob, m.content, m.written = all, c, true
		return nil
	})
}

func (m memorySession) Report(ctx context.Context, t Ticket, o Outcome) error {
	return m.do(ctx, "report", func() error {
		if !m.tickets[t.Correlation] {
			return fmt.Errorf("unknown ticket: %w", gateway.ErrInvalid)
		}
		delete(m.tickets, t.Correlation)
		m.reports = append(m.reports, o)
		return nil
	})
}

type testClock struct{}

func (testClock) Now() time.Time { return time.Now().UTC() }
func (testClock) Trusted() bool  { return true }

// bench is an Uploader on a spool of its own.
type bench struct {
	*Uploader
	t      *testing.T
	health *health.Board
	stop   func()
}

func open(t *testing.T, dir string, c Cloud, edit ...func(*Options)) *bench {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	o := Options{
		Dir: dir, MaxBytes: 1 << 20, Way: Way{BlockBytes: 10, Cloud: c}, Clock: testClock{}, Log: log, Health: health.NewBoard(log),
		MinBackoff: time.Second, MaxBackoff: time.Minute,
	}
	for _, e := range edit {
		e(&o)
	}
	u, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{Uploader: u, t: t, health: o.Health}
}

// run starts the Uploader; stop ends it.
func (b *bench) run() *bench {
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	})
	return b
}

func (b *bench) accept(name, text string) Upload {
	b.t.Helper()
	up, err := b.Accept(b.t.Context(), Request{Name: name, Size: int64(len(text))}, bytes.NewReader([]byte(text)))
	if err != nil {
		b.t.Fatal(err)
	}
	return up
}

// wait waits for the final state.
func (b *bench) wait(id string) Upload {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 24*time.Hour)
	defer cancel()
	up, err := b.Wait(ctx, id)
	if err != nil {
		b.t.Fatal(err)
	}
	return up
}
