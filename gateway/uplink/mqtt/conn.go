package mqtt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/fieldpost/fieldpost/gateway"
)

// errClosed is the reason of a connection that was ended by Close.
var errClosed = errors.New("closed by this side")

// Conn is an open connection. Make it with Dial, and Close it also after a loss.
type Conn struct {
	opts   Options
	client paho.Client
	// purposes of the packets under way.
	purposes purposes

	inbound  chan Inbound
	handling sync.WaitGroup // the goroutine that runs OnMessage
	ctx      context.Context
	cancel   context.CancelFunc

	// publishing is held for reading while paho takes a packet. A loss takes it
	// for writing before paho learns of it: paho would leave a Publish that is
	// under way at that moment hanging until a timeout.
	publishing sync.RWMutex

	done  chan struct{} // closed once cause is set; no Publish begins after that
	mu    sync.Mutex
	cause error
	raw   net.Conn // nil until dialled
}

// Dial connects and logs in. Errors wrap uplink.ErrRefused if the server does
// not want this client, else they are worth another attempt.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	o = o.withDefaults()
	ctx, cancelDial := context.WithTimeoutCause(ctx, o.ConnectTimeout,
		fmt.Errorf("no answer within %v: %w", o.ConnectTimeout, gateway.ErrTimeout))
	defer cancelDial()
	c := &Conn{opts: o, done: make(chan struct{}), inbound: make(chan Inbound), purposes: purposes{meter: o.Meter}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.client = paho.NewClient(c.pahoOptions(ctx))
	c.handling.Go(c.handle)
	abort := context.AfterFunc(ctx, func() { c.fail(context.Cause(ctx)) })
	token := c.client.Connect().(*paho.ConnectToken)
	<-token.Done()
	if !abort() {
		<-c.done // ctx ended first, whatever paho says
	}
	if err := c.refusal(token); err != nil {
		c.fail(err)
		_ = c.Close(ctx)
		return nil, fmt.Errorf("connect to %s: %w", o.Address, err)
	}
	return c, nil
}

func (c *Conn) pahoOptions(ctx context.Context) *paho.ClientOptions {
	p := paho.NewClientOptions()
	p.Servers = []*url.URL{{Scheme: "tcp", Host: c.opts.Address}} // dial decides how
	p.SetProtocolVersion(4)                                       // else a refusal is tried again as MQTT 3.1
	p.SetClientID(c.opts.ClientID).SetUsername(c.opts.Username).SetPassword(c.opts.Password)
	p.SetCleanSession(c.opts.CleanSession)
	p.SetAutoReconnect(false).SetConnectRetry(false)
	p.SetKeepAlive(c.opts.KeepAlive)
	p.SetPingTimeout(24 * time.Hour) // the socket notices a dead link
	p.SetAutoAckDisabled(true)
	p.SetDefaultPublishHandler(c.receive)
	p.SetConnectionLostHandler(func(_ paho.Client, cause error) { // malformed packets: the socket cannot tell
		c.fail(fmt.Errorf("connection lost: %w", cause))
	})
	p.SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) { return c.dial(ctx) })
	if w := c.opts.Will; w != nil {
		p.SetBinaryWill(w.Topic, w.Payload, 1, w.Retained)
	}
	return p
}

// Done is closed when the connection is lost or closed.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err says why the connection ended; nil while it lasts.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// finish states that the connection has ended; the first cause counts.
func (c *Conn) finish(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.cause = cause
		close(c.done)
		c.cancel()
	}
}

// fail ends the connection and frees whatever is blocked on the network.
func (c *Conn) fail(cause error) {
	c.finish(cause)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.raw != nil {
		_ = c.raw.Close()
	}
}

// lost is called by the socket before paho learns that reading has failed.
func (c *Conn) lost(cause error) {
	c.fail(fmt.Errorf("connection lost: %w", cause))
	c.publishing.Lock() // wait for what is under way
	defer c.publishing.Unlock()
}

// Abort cuts the line without DISCONNECT, so that the server publishes the
// will. Close must still be called.
func (c *Conn) Abort() { c.fail(errClosed) }

// Close sends DISCONNECT, if the line takes it within ctx, and waits for
// everything that belongs to the connection. An error means that ctx ended
// first; what is left then ends by itself, since the line is cut.
func (c *Conn) Close(ctx context.Context) error {
	stuck := context.AfterFunc(ctx, func() { c.fail(errClosed) })
	defer stuck()
	c.publishing.Lock()
	c.finish(errClosed)
	c.publishing.Unlock()
	c.client.Disconnect(quiesce(ctx))
	c.fail(errClosed)
	c.handling.Wait()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("close connection to %s: %w", c.opts.Address, err)
	}
	return nil
}

// quiesce is how long paho may take to say goodbye, in milliseconds.
func quiesce(ctx context.Context) uint {
	left := time.Second
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline))
	}
	return uint(max(left, time.Millisecond).Milliseconds())
}
