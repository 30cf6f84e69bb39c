package iothub

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// session is one connection to the hub. It asks to be made anew before its
// token ends.
type session struct {
	*mqtt.Conn // nil until open
	*Upstream
	device   string
	renew    chan struct{}
	replaced <-chan struct{} // the bundle of CAs was, since before the connection was made
	watching sync.WaitGroup  // the goroutine that looks after the proof

	ctx    context.Context // of the work, which ends before the connection does
	cancel context.CancelFunc
	begin  sync.Mutex     // is held while some work begins, and while all of it is told to end
	work   sync.WaitGroup // what is done with incoming messages
	opened chan struct{}  // closed once Conn is set

	arrivals *uplink.Arrivals // the cloud-to-device messages
	calls    chan struct{}    // a token for each direct method under way
	refusals chan struct{}    // the same for those that are too many, and told so
	twin     chan twinMessage
}

func newSession(u *Upstream, device string) *session {
	s := &session{
		Upstream: u, device: device, renew: make(chan struct{}), replaced: u.trust.Replaced(), opened: make(chan struct{}),
		calls:    make(chan struct{}, maxCalls),
		refusals: make(chan struct{}, maxCalls), twin: make(chan twinMessage, maxTwinMessages),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.arrivals = u.intake.Begin(s.ctx)
	return s
}

// do begins some work, unless all of it has been told to end: messages come in
// until the connection is closed, which is later.
func (s *session) do(work func()) {
	s.begin.Lock()
	defer s.begin.Unlock()
	if s.ctx.Err() == nil {
		s.work.Go(work)
	}
}

// endWork tells the work to end and waits for it.
func (s *session) endWork() {
	s.begin.Lock()
	s.cancel()
	s.begin.Unlock()
	s.work.Wait()
	s.arrivals.Wait()
}

// open begins the life of the session with its connection.
func (s *session) open(c *mqtt.Conn, l lease) {
	s.Conn = c
	s.watching.Go(func() { s.watch(s, l) })
	close(s.opened)
}

// awaitOpen reports whether there is, or soon was, a connection to send on.
func (s *session) awaitOpen() bool {
	select {
	case <-s.opened:
		return true
	case <-s.ctx.Done():
	}
	select {
	case <-s.opened: // it ends, and takes a last word
		return true
	default:
		return false
	}
}

// start asks for what the tier of the hub has, and begins to follow the twin.
func (s *session) start(ctx context.Context) error {
	if s.config.Tier == tierBasic {
		return nil
	}
	filters := []string{deviceboundPrefix(s.device) + "#", methodPrefix + "#"}
	if s.followsTwin() {
		filters = append(filters, twinAnswerPrefix+"#", twinDesiredPrefix+"#")
	}
	if err := s.subscribe(ctx, filters); err != nil {
		return fmt.Errorf("%w; if this hub is of the basic tier, set tier: basic", err)
	}
	if s.followsTwin() {
		tell := func(topic string, payload []byte) error { return s.Tell(uplink.ForRecords, topic, payload) }
		s.do(func() { newTwinSync(s.parts.Twin, tell, s.twin, s.parts.Log).run(s.ctx) })
	}
	return nil
}

// subscribe asks for all filters at once, since a line can be slow.
func (s *session) subscribe(ctx context.Context, filters []string) error {
	errs := make([]error, len(filters))
	var asking sync.WaitGroup
	for i, filter := range filters {
		asking.Go(func() { errs[i] = s.Subscribe(ctx, filter) })
	}
	asking.Wait()
	return cmp.Or(errs...)
}

func (s *session) followsTwin() bool { return s.parts.Twin != nil && s.config.HasTwin() }

// Publish sends a device-to-cloud message.
func (s *session) Publish(_ context.Context, m gateway.Message) (uplink.Receipt, error) {
	topic, err := s.labels.eventTopic(s.device, m)
	if err != nil {
		return nil, err
	}
	return s.Send(uplink.PurposeOf(m.ID.Lane), topic, m.Body)
}

// Renew is closed when the token has most of its life behind it, and when there
// are other CAs to prove.
func (s *session) Renew() <-chan struct{} { return s.renew }

// Close ends the work first: whoever waits for a direct method gets a last word.
func (s *session) Close(ctx context.Context) error {
	stuck := context.AfterFunc(ctx, s.Abort)
	s.endWork()
	stuck()
	err := s.Conn.Close(ctx)
	s.watching.Wait()
	return err
}

// inspectEvery is how often the certificate is looked at while a connection
// lasts, which can be for months.
const inspectEvery = 12 * time.Hour

// provePause is how soon a connection is made anew to prove other CAs: what the
// hub is told about them goes out before.
const provePause = 2 * time.Second

// watch looks after the proof of a session, and of its hub, until that ends.
func (u *Upstream) watch(s *session, l lease) {
	every := inspectEvery
	if u.signIn.renewable() {
		every = l.lookEvery()
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var prove <-chan time.Time
	for {
		select {
		case <-s.Done():
			return
		case <-s.replaced:
			s.replaced = u.trust.Replaced()
			prove = time.After(provePause)
		case <-s.arrivals.Renew(): // a hub that sends more than IoT Hub does
			close(s.renew)
			return
		case <-prove:
			if prove = nil; u.trust.Outdated() {
				close(s.renew)
				return
			}
		case <-tick.C:
			if u.tend(l) {
				close(s.renew)
				return
			}
		}
	}
}

// tend looks after the proof of this board; it reports whether a new one is due.
func (u *Upstream) tend(l lease) bool {
	if u.signIn.renewable() {
		return l.due(u.parts.Clock.Now(), time.Since(l.began))
	}
	u.inspect()
	return false
}
