package uplink_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/uplinktest"
)

const window = 4

// fakeUpstream is a hub under the control of the test. connect may refuse the
// n-th attempt, and set the new session up.
type fakeUpstream struct {
	connect func(n int, s *fakeSession) error
	mute    func(n int) bool // the n-th attempt gets no answer

	meter *uplink.Meter

	mu       sync.Mutex
	attempts int
	sessions []*fakeSession
}

func (u *fakeUpstream) Name() string { return "fake" }
func (u *fakeUpstream) Window() int  { return window }

func (u *fakeUpstream) CountWith(m *uplink.Meter) { u.meter = m }

func (u *fakeUpstream) Connect(ctx context.Context) (uplink.Session, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.attempts++
	if u.mute != nil && u.mute(u.attempts) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	s := &fakeSession{done: make(chan struct{}), renew: make(chan struct{}), opened: time.Now(), rejects: map[uint64]error{}, meter: u.meter}
	if u.connect != nil {
		if err := u.connect(u.attempts, s); err != nil {
			return nil, err
		}
	}
	u.sessions = append(u.sessions, s)
	return s, nil
}

func (u *fakeUpstream) session(i int) *fakeSession {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.sessions[i]
}

func (u *fakeUpstream) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.attempts
}

type fakeReceipt struct {
	done chan struct{}
	err  error
	size int
}

func (r *fakeReceipt) Done() <-chan struct{} { return r.done }
func (r *fakeReceipt) Err() error            { return r.err }
func (r *fakeReceipt) Size() int             { return r.size }

type fakeSession struct {
	auto    bool                         // acknowledge at once
	stuckAt uint64                       // Publish of this sequence number hangs until Close
	cutAt   func(m gateway.Message) bool // the connection is lost when such a message comes
	deaf    func(m gateway.Message) bool // such messages are never confirmed
	rejects map[uint64]error             // by sequence number
	renew   chan struct{}
	opened  time.Time
	meter   *uplink.Meter
	extra   int // bytes that each message takes beside its own

	mu       sync.Mutex
	seqs     []uint64
	at       []time.Time // when each was published
	receipts []*fakeReceipt
	acked    int
	done     chan struct{}
	err      error
	closed   time.Time
}

func (s *fakeSession) Publish(_ context.Context, m gateway.Message) (uplink.Receipt, error) {
	if m.ID.Seq == s.stuckAt {
		<-s.done
		return nil, s.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.rejects[m.ID.Seq]; err != nil {
		return nil, err
	}
	r := &fakeReceipt{done: make(chan struct{}), size: len(m.Body)}
	s.meter.Socket(0, r.size+s.extra)
	s.meter.Packet(uplink.PurposeOf(m.ID.Lane), 0, r.size)
	s.seqs, s.at = append(s.seqs, m.ID.Seq), append(s.at, time.Now())
	s.receipts = append(s.receipts, r)
	switch {
	case s.cutAt != nil && s.cutAt(m):
		if s.err == nil {
			s.err = errCut
			close(s.done)
		}
	case s.deaf != nil && s.deaf(m):
	case s.auto && s.err == nil:
		s.acked++
		close(r.done)
	}
	return r, nil
}

func (s *fakeSession) Done() <-chan struct{}  { return s.done }
func (s *fakeSession) Renew() <-chan struct{} { return s.renew }

func (s *fakeSession) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *fakeSession) Close(context.Context) error {
	s.lose(errors.New("closed by this side"))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = time.Now()
	return nil
}

func (s *fakeSession) lose(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		close(s.done)
	}
}

// puback confirms the next n messages.
func (s *fakeSession) puback(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		close(s.receipts[s.acked].done)
		s.acked++
	}
}

func (s *fakeSession) published() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seqs)
}

// rig is a running Sender in virtual time.
type rig struct {
	*uplink.Sender
	hub    *fakeUpstream
	store  *uplinktest.Store
	health *health.Board
	stop   func() // ends Run and waits for it
}

func run(t *testing.T, messages int, connect func(n int, s *fakeSession) error, change ...func(*uplink.Options)) *rig {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	r := &rig{hub: &fakeUpstream{connect: connect}, store: &uplinktest.Store{}, health: health.NewBoard(log)}
	for range messages {
		r.store.Add([]byte("{}"))
	}
	o := uplink.Options{Store: r.store, Upstream: r.hub, Log: log, Health: r.health}
	for _, c := range change {
		c(&o)
	}
	sender, err := uplink.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.Sender = sender
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sender.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(r.stop)
	synctest.Wait()
	return r
}

func (r *rig) conditions() (codes []string) {
	for _, c := range r.health.Conditions() {
		codes = append(codes, c.Code)
	}
	return codes
}

func equal(t *testing.T, what string, got, want []uint64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
