//go:build board

package systemtest

import (
	"io"
	"net"
	"testing"

	"github.com/fieldpost/fieldpost/scripts/board"
)

// scale is a device on a serial adapter: it answers READ with its weight.
type scale struct {
	conn  net.Conn
	ended chan struct{}
}

// plug plugs the adapter of a scale into the board.
func (m machine) plug(t *testing.T, weight string) *scale {
	t.Helper()
	conn, err := net.Dial("unix", m.usb)
	if err != nil {
		t.Fatal(err)
	}
	s := &scale{conn: conn, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		asked := make([]byte, 1)
		for {
			if _, err := io.ReadFull(conn, asked); err != nil {
				return
			}
			if asked[0] == '\n' {
				_, _ = io.WriteString(conn, "ST,GS,"+weight+"kg\r\n")
			}
		}
	}()
	t.Cleanup(s.unplug)
	return s
}

func (s *scale) unplug() {
	_ = s.conn.Close()
	<-s.ended
}

// boardSerial asks a scale over USB, unplugs it and plugs it in again.
func boardSerial(t *testing.T, b *boardGateway, m machine) {
	s := m.plug(t, " 12.50")
	b.start(t, `devices:
  - id: scale
    driver: lines
    port: `+board.SerialPort+`
    poll: "READ\r\n"
    every: 1s
    timeout: 900ms
    patterns:
      - match: '^ST,GS,(?P<weight>[ 0-9.]+)kg$'
        readings: {weight: {unit: kg}}
`)
	b.await(t, "scale", "weight", is(12.5))
	s.unplug()
	b.awaitTrouble(t, "scale", "unplugged")
	m.plug(t, " 13.75")
	b.await(t, "scale", "weight", is(13.75))
	b.awaitGood(t, "scale")
}
