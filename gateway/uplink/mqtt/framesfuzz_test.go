package mqtt

import (
	"bytes"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// FuzzFrames: the verdict does not depend on how the network cuts the stream,
// and paho finds in what has passed the same packets, none of them too large.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x20, 2, 0, 0, 0x90, 3, 0, 1, 1, 0xd0, 0}, uint8(1))
	f.Add([]byte{0x90, 4, 0, 1, 1, 1}, uint8(2))
	f.Add([]byte{0x32, 0x80, 0x01, 0}, uint8(3))
	f.Add([]byte{0x32, 0xff, 0xff, 0xff, 0xff, 0x7f}, uint8(2))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint8) {
		var whole, pieces frames
		verdict := whole.pass(stream)
		var other error
		for p := range chunks(stream, int(cut)%7+1) {
			if other = pieces.pass(p); other != nil {
				break
			}
		}
		if (verdict == nil) != (other == nil) || verdict == nil && whole != pieces {
			t.Fatalf("whole: %v, in pieces: %v", verdict, other)
		}
		for r := bytes.NewReader(stream); verdict == nil; {
			p, err := packets.ReadPacket(r)
			if err != nil {
				return
			}
			if s, ok := p.(*packets.SubackPacket); ok && len(s.ReturnCodes) != 1 {
				t.Fatalf("passed a SUBACK with %d codes", len(s.ReturnCodes))
			}
		}
	})
}

func chunks(p []byte, n int) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for ; len(p) > 0; p = p[min(n, len(p)):] {
			if !yield(p[:min(n, len(p))]) {
				return
			}
		}
	}
}
