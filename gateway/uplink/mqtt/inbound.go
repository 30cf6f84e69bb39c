package mqtt

import paho "github.com/eclipse/paho.mqtt.golang"

// receive runs in paho's reading goroutine. Nothing is buffered here, where nobody
// could say how large the messages are.
func (c *Conn) receive(_ paho.Client, m paho.Message) {
	if c.opts.OnMessage == nil {
		return
	}
	in := Inbound{
		Topic: m.Topic(), Payload: m.Payload(), Retained: m.Retained(), Duplicate: m.Duplicate(), Ack: m.Ack,
	}
	select {
	case c.inbound <- in:
	case <-c.done: // unacknowledged, so the server sends it again
	}
}

// handle runs OnMessage until the connection ends.
func (c *Conn) handle() {
	for {
		select {
		case m := <-c.inbound:
			if c.ctx.Err() != nil {
				return
			}
			c.opts.OnMessage(c.ctx, m)
		case <-c.done:
			return
		}
	}
}
