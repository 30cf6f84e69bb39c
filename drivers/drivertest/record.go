package drivertest

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// ParseRecord reads what `fieldpost read --record` writes: a bus.Transaction a
// line, in its own form. Empty lines and those that begin with # are left out.
func ParseRecord(r io.Reader) ([]bus.Transaction, error) {
	var all []bus.Transaction
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		t, err := parseTransaction(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		all = append(all, t)
	}
	return all, lines.Err()
}

func parseTransaction(line string) (t bus.Transaction, err error) {
	parts := strings.SplitN(line, " ", 8)
	if len(parts) < 7 || parts[0] == "" || parts[1] == "" || parts[2] != "w" || parts[4] != "r" {
		return t, fmt.Errorf("%.80q is no transaction; want BUS AT w HEX r HEX DURATION and perhaps an error: %w", line, gateway.ErrInvalid)
	}
	t.Bus, t.At = parts[0], parts[1]
	if len(parts) == 8 {
		t.Err = errors.New(parts[7])
	}
	if t.Wrote, err = unhex(parts[3]); err != nil {
		return t, err
	}
	if t.Err != nil && strings.Trim(parts[5], "x") == "" {
		t.Read = make([]byte, len(parts[5])/2)
	} else if t.Read, err = unhex(parts[5]); err != nil {
		return t, err
	}
	if t.Took, err = time.ParseDuration(parts[6]); err != nil {
		return t, fmt.Errorf("%w: %w", err, gateway.ErrInvalid)
	}
	return t, nil
}

func unhex(s string) ([]byte, error) {
	if s == "-" {
		return nil, nil
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%.40q: %w: %w", s, err, gateway.ErrInvalid)
	}
	return b, nil
}

// Replay is an i2c.BusCloser, or an SPI controller by its Hardware, on which the
// chips say what they said when a record was made, as long as they are asked the same
// in the same order. Each address has an order of its own.
type Replay struct {
	mu   sync.Mutex
	left map[string][]bus.Transaction
}

var _ i2c.BusCloser = (*Replay)(nil)

// NewReplay plays the transactions of one bus of a record.
func NewReplay(name string, record []bus.Transaction) *Replay {
	left := make(map[string][]bus.Transaction)
	for _, t := range record {
		if t.Bus == name {
			left[t.At] = append(left[t.At], t)
		}
	}
	return &Replay{left: left}
}

// Hardware has the replay as each I2C bus and each SPI controller.
func (p *Replay) Hardware() bus.Hardware {
	return bus.Hardware{
		I2C: func(int) (i2c.BusCloser, error) { return p, nil },
		SPI: func(_, chipSelect int) (spi.PortCloser, error) {
			return replaySPI{p, bus.AtSPI("", chipSelect).At}, nil
		},
	}
}

// String implements i2c.Bus.
func (p *Replay) String() string { return "replay" }

// SetSpeed implements i2c.Bus.
func (p *Replay) SetSpeed(physic.Frequency) error { return nil }

// Tx implements i2c.Bus.
func (p *Replay) Tx(address uint16, w, r []byte) error {
	return p.tx(bus.AtI2C("", address).At, w, r)
}

// tx gives what is next on record for a place.
func (p *Replay) tx(at string, w, r []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.left[at]) == 0 {
		return fmt.Errorf("replay: %s is asked %x beyond the end of the record: %w", at, w, bus.ErrNoAnswer)
	}
	t := p.left[at][0]
	if !slices.Equal(t.Wrote, w) || len(t.Read) != len(r) {
		return fmt.Errorf("replay: %s is asked %x for %d bytes; on record is %v: %w", at, w, len(r), t, gateway.ErrInvalid)
	}
	p.left[at] = p.left[at][1:]
	if t.Err == nil {
		copy(r, t.Read)
		return nil
	}
	if strings.HasPrefix(t.Err.Error(), bus.ErrNoAnswer.Error()) {
		return bus.ErrNoAnswer
	}
	return fmt.Errorf("%w: %w", t.Err, gateway.ErrUnavailable)
}

// Left are the transactions that nobody has asked for.
func (p *Replay) Left() (left []bus.Transaction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.left {
		left = append(left, at...)
	}
	return left
}

// Close implements i2c.BusCloser.
func (p *Replay) Close() error { return nil }

// replaySPI is one chip select of a replay.
type replaySPI struct {
	p  *Replay
	at string
}

func (c replaySPI) String() string                    { return "replay " + c.at }
func (c replaySPI) Close() error                      { return nil }
func (c replaySPI) LimitSpeed(physic.Frequency) error { return nil }
func (c replaySPI) Duplex() conn.Duplex               { return conn.Full }
func (c replaySPI) Tx(w, r []byte) error              { return c.p.tx(c.at, w, r) }

func (c replaySPI) Connect(physic.Frequency, spi.Mode, int) (spi.Conn, error) { return c, nil }

// TxPackets implements spi.Conn. No device of the gateway uses it.
func (c replaySPI) TxPackets([]spi.Packet) error {
	return fmt.Errorf("replay: packets are not on record: %w", gateway.ErrInvalid)
}
