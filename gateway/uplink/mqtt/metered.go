package mqtt

import (
	"net"
	"sync"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// meteredLine counts what really passes, TLS and all.
type meteredLine struct {
	net.Conn
	meter *uplink.Meter
}

func (l meteredLine) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	l.meter.Socket(n, 0)
	return n, err
}

func (l meteredLine) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	l.meter.Socket(0, n)
	return n, err
}

// purposes knows what each packet is for. paho writes publications in the order
// in which it gets them, and servers confirm them in that order too, so that
// two rows say what they are for.
type purposes struct {
	meter *uplink.Meter

	// handing is held while one publication is handed to paho.
	handing sync.Mutex
	mu      sync.Mutex
	handed  row // not yet written
	written row // not yet confirmed
}

// row is a queue of purposes; it is empty again with each pause.
type row struct {
	all  []uplink.Purpose
	head int
}

func (r *row) put(p uplink.Purpose) { r.all = append(r.all, p) }

// drop takes back the last that was put.
func (r *row) drop() { r.all = r.all[:max(len(r.all)-1, r.head)] }

// next is the oldest; servers that confirm what was not sent get ForConnection.
func (r *row) next() uplink.Purpose {
	if r.head == len(r.all) {
		return uplink.ForConnection
	}
	p := r.all[r.head]
	if r.head++; r.head == len(r.all) || r.head > 1024 {
		r.all, r.head = append(r.all[:0], r.all[r.head:]...), 0
	}
	return p
}

// hand calls give, which hands a publication to paho.
func (o *purposes) hand(p uplink.Purpose, give func() error) error {
	o.handing.Lock()
	defer o.handing.Unlock()
	o.change(func() { o.handed.put(p) })
	err := give()
	if err != nil {
		o.change(o.handed.drop)
	}
	return err
}

func (o *purposes) change(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
}

// outgoing says what a packet that is about to be written is for.
func (o *purposes) outgoing(packet []byte) (p uplink.Purpose) {
	if len(packet) == 0 {
		return uplink.ForConnection
	}
	switch packet[0] >> 4 {
	case packets.Publish:
		o.change(func() {
			p = o.handed.next()
			if packet[0]&6 != 0 { // with QoS 0 nothing confirms it
				o.written.put(p)
			}
		})
		return p
	case packets.Puback:
		return uplink.ForCommands
	case packets.Pingreq:
		return uplink.ForKeepAlive
	default:
		return uplink.ForConnection
	}
}

// incoming counts a packet that has come in.
func (o *purposes) incoming(kind byte, size int) {
	var p uplink.Purpose
	switch kind {
	case packets.Publish:
		p = uplink.ForCommands
	case packets.Puback:
		o.change(func() { p = o.written.next() })
	case packets.Pingresp:
		p = uplink.ForKeepAlive
	}
	o.meter.Packet(p, size, 0)
}
