//go:build board

package systemtest

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/scripts/board"
)

// instrument is what hangs on a serial port of the board.
type instrument struct {
	conn  net.Conn
	ended chan struct{}
}

// plug connects what talks to the socket of a port; at one of USB that plugs the
// adapter in. It talks until an error.
func plug(t *testing.T, socket string, talk func(net.Conn) error) *instrument {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	i := &instrument{conn: conn, ended: make(chan struct{})}
	go func() {
		defer close(i.ended)
		_ = talk(conn) // it ends with the connection
	}()
	t.Cleanup(i.unplug)
	return i
}

func (i *instrument) unplug() {
	_ = i.conn.Close()
	<-i.ended
}

// scale answers READ with its weight.
func scale(weight string) func(net.Conn) error {
	return func(conn net.Conn) error {
		for {
			asked := make([]byte, 1)
			if _, err := io.ReadFull(conn, asked); err != nil {
				return err
			}
			if asked[0] != '\n' {
				continue
			}
			if _, err := io.WriteString(conn, "ST,GS,"+weight+"kg\r\n"); err != nil {
				return err
			}
		}
	}
}

// position tells where and when it is, five times a second (NMEA 0183, RMC).
func position(conn net.Conn) error {
	// What a terminal echoes until it is told not to is taken, or the emulator
	// would wait for that.
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for now := range tick.C {
		now = now.UTC()
		sentence := fmt.Sprintf("GPRMC,%s,A,5231.200,N,01324.300,E,0.0,0.0,%s,,,A", now.Format("150405.00"), now.Format("020106"))
		sum := byte(0)
		for _, c := range []byte(sentence) {
			sum ^= c
		}
		if _, err := fmt.Fprintf(conn, "$%s*%02X\r\n", sentence, sum); err != nil {
			return err
		}
	}
	return nil
}

// boardSerial asks a scale over USB, unplugs it and plugs it in again.
func boardSerial(t *testing.T, b *boardGateway, m machine) {
	first := plug(t, m.usb[0], scale(" 12.50"))
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
	first.unplug()
	b.awaitTrouble(t, "scale", "plugged") // "the port was unplugged", later "is it plugged in?"
	plug(t, m.usb[0], scale(" 13.75"))
	b.await(t, "scale", "weight", is(13.75))
	b.awaitGood(t, "scale")
}

// boardReceivers has no other time than that of two receivers which agree: the hub
// is reached though the clock of the board says 1970.
func boardReceivers(t *testing.T, b *boardGateway, m machine) {
	plug(t, m.usb[0], position)
	plug(t, m.usb[1], position)
	b.start(t, `devices:
  - {id: bow, driver: nmea, port: /dev/ttyUSB0, baud: 9600, every: 1s}
  - {id: stern, driver: nmea, port: /dev/ttyUSB1, baud: 9600, every: 1s}
`)
	for _, device := range []string{"bow", "stern"} {
		b.awaitReading(t, device, "latitude", func(r arrived) bool {
			return near(52.52)(r.Value) && time.Since(r.Time).Abs() < 10*time.Second
		})
		b.awaitGood(t, device)
	}
}
