package link_test

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/firmware-bridge/link/linktest"
)

// FuzzPeer: whatever a microcontroller says in its session, the Conn lives on, its
// calls end, and so does it when it is closed.
func FuzzPeer(f *testing.F) {
	f.Add([]byte{0xE0, 0, 0, 14, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 1, 0, 0, 0, 0xE1, 9, 0, 6, 1, 0, 0, 0, 0, 'x'})
	f.Add([]byte{0xE0, 0, 0, 14, 9, 9, 9, 9, 0, 0, 1, 2, 3, 4, 1, 0, 0, 0, 0x82, 1, 0, 1, 0})
	f.Add([]byte{0x85, 2, 0, 5, 0, 2, 1, 0, 0, 0, 0x85, 3, 0, 0, 0x83, 2, 0, 1, 0, 0x81, 1, 0, 0})
	f.Fuzz(func(t *testing.T, said []byte) {
		synctest.Test(t, func(t *testing.T) {
			b := &bench{T: t, mcu: &linktest.MCU{Descriptor: descriptor}}
			m := link.NewMemory()
			m.Chance(10)
			c, _ := b.open(link.Options{Memory: m})
			asked := make(chan error, 2)
			go func() {
				_, err := c.Get(b.Context(), link.Setting{ID: 1})
				asked <- err
				_, err = c.Descriptor(b.Context())
				asked <- err
			}()
			go func() { _ = c.Each(b.Context(), func(link.Event) error { return nil }) }()
			for len(said) >= 4 {
				n := min(int(said[3]), len(said)-4)
				fr := link.Frame{Version: 1, Type: link.Type(said[0]), Session: 11, Number: binary.LittleEndian.Uint16(said[1:]), Payload: said[4 : 4+n]}
				b.mcu.Babble(fr.Append(nil))
				said = said[4+n:]
			}
			<-asked
			<-asked
			time.Sleep(time.Second)
			if err := c.Err(); err != nil {
				t.Errorf("the Conn has failed: %v", err)
			}
			c.Close()
			b.running.Wait()
		})
	})
}
