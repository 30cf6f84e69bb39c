package uplink

import (
	"context"
	"errors"
	"fmt"

	"github.com/fieldpost/fieldpost/gateway"
)

// Errors that decide what the Sender does next; upstreams wrap them.
var (
	// ErrRefused: the peer knows who is calling and does not want it. Only a
	// person can mend that, so the next attempts are far apart.
	ErrRefused = errors.New("login refused")
	// ErrNotReady: something on this board is missing, such as the time of
	// day. Nothing was tried; ask again soon.
	ErrNotReady = errors.New("not ready to connect")
	// ErrCutShort: the peer has taken the login, and closed the connection before
	// a session was open.
	ErrCutShort = errors.New("closed right after the login")
	// ErrTooLarge: the message is over the upstream's limit for ever.
	ErrTooLarge = fmt.Errorf("message too large: %w", gateway.ErrInvalid)
)

// Store is the queue as the Sender sees it. Its methods are called from
// several goroutines, but Next only from one at a time.
type Store interface {
	// Next waits for the next message to send; each is handed out once until
	// Rewind.
	Next(ctx context.Context) (gateway.Message, error)
	// Ack removes messages that the upstream has confirmed.
	Ack(ids ...gateway.MessageID) error
	// Reject sets aside a message that can never be sent.
	Reject(ctx context.Context, id gateway.MessageID, reason string) error
	// Rewind makes Next start again at the oldest message that is not
	// acknowledged. It is called as a session begins.
	Rewind()
}

// Dater gives messages the times that were not known when they were made.
type Dater interface {
	// Date is called with each message that is about to be sent. It leaves the id, and
	// gives the same for a message that is sent again.
	Date(m gateway.Message) gateway.Message
}

// Upstream opens sessions with one hub or broker.
type Upstream interface {
	// Name is for logs and status: kind and address, never a secret.
	Name() string
	// Window is how many messages may be in flight, 1 or more.
	Window() int
	// Connect opens a session, which outlives ctx; commands flow in from then
	// on. Errors wrap ErrRefused or ErrNotReady where that is the reason.
	Connect(ctx context.Context) (Session, error)
}

// Session is one connection. Publish is called from one goroutine, the rest
// from any.
type Session interface {
	// Publish sends in call order and returns without waiting for the PUBACK.
	// An error that wraps gateway.ErrInvalid condemns this message only; any
	// other one ends the session. It returns soon after Close or a loss.
	Publish(ctx context.Context, m gateway.Message) (Receipt, error)
	// Done is closed when the connection is lost or closed.
	Done() <-chan struct{}
	// Err says why, once Done is closed.
	Err() error
	// Close says goodbye, if the peer still listens, within ctx, and frees
	// what the session holds. It must be called after a loss too.
	Close(ctx context.Context) error
}

// Receipt follows one message in flight.
type Receipt interface {
	// Done is closed by the PUBACK or by a failure of this message. It may stay
	// open for ever when the session ends.
	Done() <-chan struct{}
	// Err is nil after the PUBACK, once Done is closed.
	Err() error
	// Size is how many bytes the message takes on the line, without TLS.
	Size() int
}

// Metered is an Upstream that tells a Meter what passes on its sessions.
type Metered interface {
	// CountWith is called once, before the first Connect.
	CountWith(m *Meter)
}

// Renewer is a Session that wants to be replaced: its credentials end, something about
// it has to be proved by a new one, or commands that were left with the server come
// again on another connection.
type Renewer interface {
	// Renew is closed when the session should be drained, closed and opened anew.
	Renew() <-chan struct{}
}
