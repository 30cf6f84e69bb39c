// Package spisim has an SPI controller with simulated chips, as package i2csim has
// an I2C bus. It is for tests.
//
// On SPI nobody acknowledges: a chip that is not there reads as ones.
package spisim

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"github.com/fieldpost/fieldpost/drivers/bus"
)

// Chip is what sits at a chip select.
type Chip interface {
	// Tx takes w and gives r at the same time; both are as long as the chip select
	// is held.
	Tx(w, r []byte)
}

// ErrAbsent as the error of Fault has the transaction go to nobody: it reads ones,
// and there is no error.
var ErrAbsent = errors.New("spisim: nobody is there")

// Bus is a controller with chips.
type Bus struct {
	mu    sync.Mutex
	chips map[int]Chip
	fault func(chipSelect int) error
	noise func(chipSelect int, r []byte)
}

// New returns a controller with these chips, by chip select.
func New(chips map[int]Chip) *Bus {
	b := &Bus{chips: make(map[int]Chip)}
	for chipSelect, chip := range chips {
		b.Plug(chipSelect, chip)
	}
	return b
}

// Plug puts a chip in place of the one that was at the chip select.
func (b *Bus) Plug(chipSelect int, chip Chip) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.chips[chipSelect] = chip
}

// Fault has f called before each transaction, which fails with the error of f.
// While f does not return, the bus is stuck. nil ends it.
func (b *Bus) Fault(f func(chipSelect int) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = f
}

// Noise has f change what chips have answered. nil ends it.
func (b *Bus) Noise(f func(chipSelect int, r []byte)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.noise = f
}

// Hardware is a board whose SPI controllers are all this one. It has the device
// files of the chip selects 0 and 1.
func (b *Bus) Hardware() bus.Hardware {
	return bus.Hardware{SPI: func(controller, chipSelect int) (spi.PortCloser, error) {
		if chipSelect < 0 || chipSelect > 1 {
			return nil, fmt.Errorf("open /dev/spidev%d.%d: %w", controller, chipSelect, fs.ErrNotExist)
		}
		return &port{bus: b, at: chipSelect}, nil
	}}
}

// byteTime is how long a byte takes at 1 MHz.
const byteTime = 8 * time.Microsecond

func (b *Bus) transfer(chipSelect int, w, r []byte) error {
	b.mu.Lock()
	fault := b.fault
	b.mu.Unlock()
	absent := false
	if fault != nil {
		err := fault(chipSelect)
		absent = errors.Is(err, ErrAbsent)
		if err != nil && !absent {
			return err
		}
	}
	length := max(len(w), len(r))
	time.Sleep(byteTime * time.Duration(length))
	out, in := make([]byte, length), make([]byte, length)
	copy(out, w)
	for i := range in {
		in[i] = 0xff
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if chip := b.chips[chipSelect]; chip != nil && !absent {
		chip.Tx(out, in)
	}
	if b.noise != nil && len(r) > 0 {
		b.noise(chipSelect, in)
	}
	copy(r, in)
	return nil
}

// port is the device file of a chip select.
type port struct {
	bus *Bus
	at  int
}

// String implements conn.Resource.
func (p *port) String() string { return fmt.Sprintf("spisim cs%d", p.at) }

// Close implements spi.PortCloser.
func (p *port) Close() error { return nil }

// LimitSpeed implements spi.PortCloser.
func (p *port) LimitSpeed(physic.Frequency) error { return nil }

// Connect implements spi.Port.
func (p *port) Connect(_ physic.Frequency, _ spi.Mode, bits int) (spi.Conn, error) {
	if bits != 8 {
		return nil, fmt.Errorf("spisim: words of %d bits; want 8", bits)
	}
	return p, nil
}

// Duplex implements conn.Conn.
func (p *port) Duplex() conn.Duplex { return conn.Full }

// Tx implements conn.Conn.
func (p *port) Tx(w, r []byte) error { return p.bus.transfer(p.at, w, r) }

// TxPackets implements spi.Conn for package bus, which has no use for it.
func (p *port) TxPackets([]spi.Packet) error {
	return errors.New("spisim: packets are not simulated")
}
