package mqtt

import (
	"fmt"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

const (
	// maxPacketBytes bounds a packet from the server. MQTT allows 256 MB, for
	// which paho would make room at once; a command has 64 KB at most.
	maxPacketBytes = 8 << 20
	// subackBytes is the length of the answer to a subscription to one filter;
	// paho panics if it holds more codes than there were filters.
	subackBytes = 3
)

// frames follows the packets in a stream of bytes, and finds those that paho
// must not see.
type frames struct {
	kind  byte
	state frameState
	// length is what is left of the packet, or what is known of its length;
	// shift is how many bits that are.
	length, shift int
	size          int // of the packet so far
	// purposes is told of each packet that is complete; it may be nil.
	purposes *purposes
}

type frameState uint8

const (
	atHead   frameState = iota // the next byte is the type of a packet
	atLength                   // the next byte belongs to the length
	atBody                     // the next length bytes are the packet
)

// pass looks at the next bytes of the stream. After an error it must not be
// called again.
func (f *frames) pass(p []byte) error {
	for len(p) > 0 {
		switch f.state {
		case atHead:
			f.kind, f.state, f.length, f.shift, f.size = p[0]>>4, atLength, 0, 0, 1
			p = p[1:]
		case atLength:
			if err := f.grow(p[0]); err != nil {
				return err
			}
			f.size++
			p = p[1:]
		case atBody:
			n := min(len(p), f.length)
			f.length -= n
			f.size += n
			p = p[n:]
		}
		if f.state == atBody && f.length == 0 {
			f.state = atHead
			if f.purposes != nil {
				f.purposes.incoming(f.kind, f.size)
			}
		}
	}
	return nil
}

// grow takes one more byte of the length in: seven bits, lowest first, and one
// that says that there are more (MQTT 3.1.1, 2.2.3).
func (f *frames) grow(b byte) error {
	f.length |= int(b&0x7f) << f.shift
	f.shift += 7
	switch more := b&0x80 != 0; {
	case more && f.shift == 28:
		return fmt.Errorf("the server does not speak MQTT: the length of a packet of type %d has no end", f.kind)
	case more:
		return nil
	case f.length > maxPacketBytes:
		return fmt.Errorf("the server sends a packet of %d bytes, at most %d are taken", f.length, maxPacketBytes)
	case f.kind == packets.Suback && f.length != subackBytes:
		return fmt.Errorf("the server does not speak MQTT: a SUBACK of %d bytes, want %d", f.length, subackBytes)
	}
	f.state = atBody
	return nil
}
