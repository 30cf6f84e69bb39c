package bus

import (
	"fmt"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
	"periph.io/x/host/v3/sysfs"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
)

// SPIConfig is an SPI controller of the board. Its devices share clock and data,
// so that they take turns; each has a chip select of its own.
type SPIConfig struct {
	Controller int              `yaml:"controller" doc:"Number of the controller: N of /dev/spidevN.0." required:"true" min:"0" max:"255"`
	MaxSpeed   config.Frequency `yaml:"max_speed" doc:"Highest clock for any of its devices, for long wires. Left out: what each chip can do." min:"1kHz" max:"100MHz" example:"500kHz"`
	Timeout    time.Duration    `yaml:"timeout" doc:"A transaction that has not come back in this time is given up, and the bus is reported as stuck." default:"2s" min:"100ms" max:"1m"`
}

func (*SPIConfig) kind() string { return KindSPI }

func (c *SPIConfig) hardware() string { return fmt.Sprintf("controller %d", c.Controller) }

// maxSPI is how many bytes spidev takes in one transaction, unless it is loaded
// with another bufsiz.
const maxSPI = 4096

func openSPI(controller, chipSelect int) (spi.PortCloser, error) {
	return sysfs.NewSPI(controller, chipSelect)
}

// SPI is an open SPI controller.
type SPI struct {
	name   string
	config *SPIConfig
	open   func(controller, chipSelect int) (spi.PortCloser, error)
	turn   *turn
	record func(Transaction)
	// chips by chip select. Whoever touches them has the turn.
	chips map[int]*SPIChip
}

// SPI opens a controller by name: one of the config, or spi-N for /dev/spidevN.*.
func (s *Set) SPI(name string) (*SPI, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed()
	}
	if b := s.spi[name]; b != nil {
		return b, nil
	}
	c, err := configOf[SPIConfig](s, name, KindSPI)
	if err != nil {
		return nil, err
	}
	const advice = "the controller's driver hangs; restart the board if it does not come back"
	b := &SPI{
		name: name, config: c, open: s.opts.Hardware.SPI, record: s.opts.Record, chips: make(map[int]*SPIChip),
		turn: newTurn(name, c.Timeout, advice, func(problem error) { s.opts.Report(name, problem) }),
	}
	s.spi[name] = b
	return b, nil
}

// SPIMode is how a chip wants to be talked to.
type SPIMode struct {
	// MaxSpeed is the highest clock of the chip.
	MaxSpeed physic.Frequency
	// Mode has clock polarity and phase.
	Mode spi.Mode
}

// Chip opens the device file of a chip select. It stays open until Close of the
// Set, until it fails, or until it is asked for with another mode.
func (b *SPI) Chip(chipSelect int, m SPIMode) (*SPIChip, error) {
	var chip *SPIChip
	err := b.turn.do(AtSPI(b.name, chipSelect).At, func() error {
		if chip = b.chips[chipSelect]; chip != nil && chip.mode == m {
			return nil
		}
		if chip != nil {
			chip.drop()
		}
		var err error
		chip, err = b.connect(chipSelect, m)
		return err
	})
	if err != nil {
		return nil, err
	}
	return chip, nil
}

func (b *SPI) connect(chipSelect int, m SPIMode) (*SPIChip, error) {
	port, err := b.open(b.config.Controller, chipSelect)
	if err != nil {
		return nil, fmt.Errorf("bus %s: /dev/spidev%d.%d cannot be opened; is SPI enabled (raspi-config, or dtparam=spi=on), and may this user open it (group spi)? %w: %w",
			b.name, b.config.Controller, chipSelect, err, gateway.ErrUnavailable)
	}
	speed := m.MaxSpeed
	if most := physic.Frequency(b.config.MaxSpeed) * physic.Hertz; most > 0 && most < speed {
		speed = most
	}
	conn, err := port.Connect(speed, m.Mode, 8)
	if err != nil {
		_ = port.Close()
		return nil, fmt.Errorf("bus %s: the controller does not take %v at %v: %w: %w", b.name, m.Mode, speed, err, gateway.ErrUnavailable)
	}
	chip := &SPIChip{bus: b, at: chipSelect, mode: m, port: port, conn: conn}
	b.chips[chipSelect] = chip
	return chip, nil
}

// SPIChip is a chip on an SPI bus.
type SPIChip struct {
	bus  *SPI
	at   int
	mode SPIMode
	port spi.PortCloser
	conn spi.Conn // nil after drop
}

// Tx writes w and reads as many bytes at the same time into r; either can be nil.
// A chip whose device file has failed says ErrUnavailable from then on; ask its
// bus for it anew.
func (c *SPIChip) Tx(w, r []byte) error {
	if len(w) > 0 && len(r) > 0 && len(w) != len(r) || max(len(w), len(r)) > maxSPI {
		return fmt.Errorf("%d bytes to write and %d to read; want the same number, %d at most: %w", len(w), len(r), maxSPI, gateway.ErrInvalid)
	}
	// A transaction that is given up may still write into its buffer.
	out, in := append([]byte(nil), w...), make([]byte, len(r))
	at := AtSPI(c.bus.name, c.at).At
	err := c.bus.turn.do(at, func() error {
		if c.conn == nil {
			return fmt.Errorf("its device file was closed after an error: %w", gateway.ErrUnavailable)
		}
		begun := time.Now()
		err := c.conn.Tx(out, in)
		if err != nil {
			c.drop()
			err = fmt.Errorf("the transfer has failed: %w: %w", err, gateway.ErrUnavailable)
		}
		c.bus.record(Transaction{Bus: c.bus.name, At: at, Wrote: out, Read: in, Err: err, Took: time.Since(begun)})
		return err
	})
	if err != nil {
		return err
	}
	copy(r, in)
	return nil
}

// drop closes the device file, in a turn.
func (c *SPIChip) drop() {
	if c.conn == nil {
		return
	}
	c.conn = nil
	delete(c.bus.chips, c.at)
	_ = c.port.Close() // whatever it says, the file is no longer used
}

func (b *SPI) close(grace time.Duration) error {
	if err := b.turn.end(grace); err != nil {
		return err
	}
	for _, chip := range b.chips {
		chip.drop()
	}
	return nil
}
