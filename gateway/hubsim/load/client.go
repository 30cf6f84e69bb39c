package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// client is as much of an MQTT 3.1.1 client as a simulated gateway needs: one
// message under way at a time, and no goroutine but the one that runs read.
type client struct {
	net.Conn
	in       *bufio.Reader
	pubacks  chan uint16
	ended    chan struct{} // closed when read has ended
	commands atomic.Uint64
	packetID uint16

	mu sync.Mutex // between those who write
}

// maxPacket bounds a packet from the hub: a command with its properties.
const maxPacket = 256 << 10

func newClient(conn net.Conn) *client {
	return &client{Conn: conn, in: bufio.NewReader(conn), pubacks: make(chan uint16, 1), ended: make(chan struct{})}
}

// connect signs in with a session that is kept.
func (c *client) connect(id, user, password string) error {
	p := packets.Packet{
		ProtocolVersion: 4, FixedHeader: packets.FixedHeader{Type: packets.Connect},
		Connect: packets.ConnectParams{
			ProtocolName: []byte("MQTT"), ClientIdentifier: id, Keepalive: uint16(keepAlive / time.Second),
			UsernameFlag: true, Username: []byte(user), PasswordFlag: true, Password: []byte(password),
		},
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if err := c.write(p.ConnectEncode); err != nil {
		return err
	}
	header, body, err := c.next()
	switch {
	case err != nil:
		return err
	case header.Type != packets.Connack || len(body) != 2:
		return fmt.Errorf("a packet of type %d instead of the CONNACK", header.Type)
	case body[1] != 0:
		return fmt.Errorf("the hub refuses with code %d", body[1])
	}
	return nil
}

// subscribe does not wait for the SUBACK; read ignores it.
func (c *client) subscribe(filter string) error {
	p := packets.Packet{
		ProtocolVersion: 4, FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, PacketID: c.nextID(),
		Filters: packets.Subscriptions{{Filter: filter, Qos: 1}},
	}
	return c.write(p.SubscribeEncode)
}

func (c *client) publish(topic, body string) error {
	p := packets.Packet{
		ProtocolVersion: 4, FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, PacketID: c.nextID(),
		TopicName: topic, Payload: []byte(body),
	}
	return c.write(p.PublishEncode)
}

func (c *client) disconnect() error {
	p := packets.Packet{ProtocolVersion: 4, FixedHeader: packets.FixedHeader{Type: packets.Disconnect}}
	return c.write(p.DisconnectEncode)
}

func (c *client) nextID() uint16 {
	c.packetID = c.packetID%65535 + 1
	return c.packetID
}

// awaitPuback waits for the PUBACK of the message under way.
func (c *client) awaitPuback(ctx context.Context) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case id := <-c.pubacks:
			if id == c.packetID {
				return nil
			}
		case <-c.ended:
			return errEnded
		case <-late.C:
			return errors.New("no PUBACK came in time")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// idle waits, and keeps the connection alive meanwhile.
func (c *client) idle(ctx context.Context, d time.Duration) error {
	end := time.NewTimer(d)
	defer end.Stop()
	alive := time.NewTicker(keepAlive / 2)
	defer alive.Stop()
	for {
		select {
		case <-end.C:
			return nil
		case <-alive.C:
			p := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}}
			if err := c.write(p.PingreqEncode); err != nil {
				return err
			}
		case <-c.ended:
			return errEnded
		case <-ctx.Done():
			return nil
		}
	}
}

// read takes what the hub sends until the connection ends. It acknowledges
// commands.
func (c *client) read() error {
	defer close(c.ended)
	_ = c.SetReadDeadline(time.Time{})
	for {
		header, body, err := c.next()
		if err != nil {
			return err
		}
		switch header.Type {
		case packets.Puback:
			if len(body) != 2 {
				return errors.New("a PUBACK that is none")
			}
			select {
			case c.pubacks <- uint16(body[0])<<8 | uint16(body[1]):
			default: // nobody waits
			}
		case packets.Publish:
			if err := c.command(header, body); err != nil {
				return err
			}
		}
	}
}

func (c *client) command(header packets.FixedHeader, body []byte) error {
	p := packets.Packet{ProtocolVersion: 4, FixedHeader: header}
	if err := p.PublishDecode(body); err != nil {
		return fmt.Errorf("a command that is none: %w", err)
	}
	c.commands.Add(1)
	if header.Qos == 0 {
		return nil
	}
	ack := packets.Packet{ProtocolVersion: 4, FixedHeader: packets.FixedHeader{Type: packets.Puback}, PacketID: p.PacketID}
	return c.write(ack.PubackEncode)
}

// next reads one packet.
func (c *client) next() (header packets.FixedHeader, body []byte, err error) {
	first, err := c.in.ReadByte()
	if err != nil {
		return header, nil, err
	}
	if err := header.Decode(first); err != nil {
		return header, nil, err
	}
	n, _, err := packets.DecodeLength(c.in)
	if err != nil {
		return header, nil, err
	}
	if n > maxPacket {
		return header, nil, fmt.Errorf("a packet of %d bytes, the limit is %d", n, maxPacket)
	}
	header.Remaining = n
	body = make([]byte, n)
	_, err = io.ReadFull(c.in, body)
	return header, body, err
}

// write sends one packet.
func (c *client) write(encode func(*bytes.Buffer) error) error {
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	_, err := c.Write(b.Bytes())
	return err
}
