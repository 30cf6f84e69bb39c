package iothub

import (
	"context"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// session is one connection to the hub. It asks to be made anew before its
// token ends.
type session struct {
	*mqtt.Conn
	labels   labels
	device   string
	renew    chan struct{}
	watching sync.WaitGroup // the goroutine that looks after the proof
}

func (u *Upstream) newSession(c *mqtt.Conn, id identity, l lease) *session {
	s := &session{Conn: c, labels: u.labels, device: id.device, renew: make(chan struct{})}
	s.watching.Go(func() { u.watch(s, l) })
	return s
}

// Publish sends a device-to-cloud message.
func (s *session) Publish(_ context.Context, m gateway.Message) (uplink.Receipt, error) {
	topic, err := s.labels.eventTopic(s.device, m)
	if err != nil {
		return nil, err
	}
	return s.Send(uplink.PurposeOf(m.ID.Lane), topic, m.Body)
}

// Renew is closed when the token has most of its life behind it.
func (s *session) Renew() <-chan struct{} { return s.renew }

// Close says goodbye.
func (s *session) Close(ctx context.Context) error {
	err := s.Conn.Close(ctx)
	s.watching.Wait()
	return err
}

// inspectEvery is how often the certificate is looked at while a connection
// lasts, which can be for months.
const inspectEvery = 12 * time.Hour

// watch looks after the proof of a session until that ends.
func (u *Upstream) watch(s *session, l lease) {
	every := inspectEvery
	if u.signIn.renewable() {
		every = l.lookEvery()
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-s.Done():
			return
		case <-tick.C:
		}
		if !u.signIn.renewable() {
			u.inspect()
		} else if l.due(u.parts.Clock.Now(), time.Since(l.began)) {
			close(s.renew)
			return
		}
	}
}
