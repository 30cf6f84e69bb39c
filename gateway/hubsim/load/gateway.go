package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"
)

const (
	// patience is how long a gateway waits for an answer.
	patience = time.Minute
	// keepAlive is what it promises.
	keepAlive = 4 * time.Minute
	// tokenLife is longer than any load.
	tokenLife = 25 * time.Hour
)

// gateway is one simulated gateway.
type gateway struct {
	*fleet
	id  string
	seq uint64 // of the message under way
	// again is set if the message was sent before, on a connection that is lost.
	again bool
}

// work keeps the gateway connected until ctx ends.
func (g *gateway) work(ctx context.Context) {
	for wait := time.Second; ctx.Err() == nil; {
		acknowledged, err := g.connection(ctx)
		if ctx.Err() != nil {
			return
		}
		if acknowledged {
			wait = time.Second
		}
		g.tally.note(func(r *Report) { r.LastError = g.id + ": " + err.Error() })
		pause(ctx, rand.N(wait)) // full jitter
		wait = min(2*wait, 100*time.Second)
	}
}

// connection lasts until it is lost or ctx ends. It reports whether a message
// was acknowledged on it.
func (g *gateway) connection(ctx context.Context) (acknowledged bool, err error) {
	began := time.Now()
	c, err := g.open(ctx)
	if err != nil {
		g.tally.note(func(r *Report) { r.Refused++ })
		return false, err
	}
	g.tally.note(func(r *Report) {
		r.Connects++
		r.Connected++
		r.Peak = max(r.Peak, r.Connected)
		r.connecting.add(time.Since(began))
	})
	reader := make(chan error, 1)
	go func() { reader <- c.read() }()
	acknowledged, err = g.talk(ctx, c)
	if ctx.Err() != nil {
		err = errors.Join(err, c.disconnect())
	}
	_ = c.Close()
	if fault := <-reader; err == nil {
		err = fault
	}
	commands := c.commands.Load()
	g.tally.note(func(r *Report) {
		r.Commands += commands
		if ctx.Err() == nil {
			r.Connected--
			r.Lost++
		}
	})
	return acknowledged, err
}

// open dials, signs in and subscribes to commands.
func (g *gateway) open(ctx context.Context) (*client, error) {
	conn, err := g.dial(ctx)
	if err != nil {
		return nil, err
	}
	c := newClient(conn)
	token := g.token(g.host+"/devices/"+g.id, tokenLife)
	err = c.connect(g.id, g.host+"/"+g.id+"/?api-version=2021-04-12", token)
	if err == nil {
		err = c.subscribe("devices/" + g.id + "/messages/devicebound/#")
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// talk sends messages at the gateway's pace, the first at a random moment.
func (g *gateway) talk(ctx context.Context, c *client) (acknowledged bool, err error) {
	pause(ctx, rand.N(g.Every))
	next := time.Now()
	for ctx.Err() == nil {
		if !g.again {
			g.seq++
		}
		began := time.Now()
		g.tally.note(func(r *Report) {
			r.Sent++
			if g.again {
				r.Repeated++
			}
		})
		g.again = true // unless its PUBACK comes
		if err := c.publish(g.topic(), g.body()); err != nil {
			return acknowledged, err
		}
		if err := c.awaitPuback(ctx); err != nil {
			return acknowledged, err
		}
		g.again, acknowledged = false, true
		took := time.Since(began)
		g.tally.note(func(r *Report) {
			r.Acknowledged++
			r.acknowledging.add(took)
		})
		if next = next.Add(g.Every); time.Until(next) < 0 {
			next = time.Now() // it does not make up for what it has missed
		}
		if err := c.idle(ctx, time.Until(next)); err != nil {
			return acknowledged, err
		}
	}
	return acknowledged, nil
}

func (g *gateway) topic() string {
	return fmt.Sprintf("devices/%[1]s/messages/events/%%24.mid=%[1]s-%[2]s-%[3]d&%%24.ct=application%%2Fjson&%%24.ce=utf-8&store=%[1]s-%[2]s&lane=telemetry&seq=%[3]d&kind=telemetry",
		g.id, g.run, g.seq)
}

// body is JSON of the size wanted, if that is possible.
func (g *gateway) body() string {
	head := fmt.Sprintf(`{"v":1,"seq":%d,"pad":"`, g.seq)
	return head + strings.Repeat("x", max(0, g.Bytes-len(head)-2)) + `"}`
}

// errEnded is the end of a connection by the hub.
var errEnded = fmt.Errorf("the hub has ended the connection: %w", io.EOF)
