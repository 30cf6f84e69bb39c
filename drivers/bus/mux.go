package bus

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/fieldpost/fieldpost/gateway"
)

// MuxConfig is one channel of an I2C multiplexer: a bus of its own for devices.
//
// The multiplexer is a PCA9548A or one that is told the same way, a bit for each
// channel: TCA9548A, PCA9546A, PCA9545A, PCA9543A. (Datasheet: NXP PCA9548A
// rev. 5.1, section 6.2.) One that the kernel drives (dtoverlay=i2c-mux) needs
// none of this: its channels are buses i2c-N of the board.
//
// Chips on a channel can have the addresses of those on other channels, but not
// of those before the multiplexer, which answer as well whatever channel is open.
// Before each transaction all channels are closed that do not lead to its chip,
// in the same turn; so a chip before the multiplexer has the bus for itself, too.
//
// periph's own pca9548 is not used: it goes on believing in its selection after
// an error, and leaves the channel open when a chip before it is asked.
type MuxConfig struct {
	Bus     string `yaml:"bus" doc:"Bus that the multiplexer is on; it can be a channel of another one." default:"i2c-1"`
	Address uint16 `yaml:"address" doc:"Address of the multiplexer, by its pins A0 to A2." default:"0x70" min:"0x70" max:"0x77"`
	Channel int    `yaml:"channel" doc:"Channel of the multiplexer that this bus is." required:"true" min:"0" max:"7"`
}

func (*MuxConfig) kind() string { return KindI2C }

// deepest is how many multiplexers can be behind each other; more are a circle.
const deepest = 8

// segment is a stretch of an I2C bus: that of the board, or a channel.
type segment struct {
	name    string
	up      *mux // nil if this is that of the board
	channel int
	muxes   []*mux // on this stretch
}

// mux is a multiplexer. It is touched only by who has the turn of its wire.
type mux struct {
	on       *segment
	address  uint16
	channels []*segment
	// known tells whether selected is what the chip has in its control register.
	known    bool
	selected byte
}

// grow makes the tree of segments below a bus, as the config has it.
func (s *Set) grow(name string) *segment {
	here := &segment{name: name}
	for _, below := range slices.Sorted(maps.Keys(s.configs())) {
		c, ok := s.configs()[below].(*MuxConfig)
		if !ok || c.Bus != name {
			continue
		}
		m := here.mux(c.Address)
		channel := s.grow(below)
		channel.up, channel.channel = m, c.Channel
		m.channels = append(m.channels, channel)
	}
	return here
}

// mux is the multiplexer at an address of a segment.
func (s *segment) mux(address uint16) *mux {
	for _, m := range s.muxes {
		if m.address == address {
			return m
		}
	}
	m := &mux{on: s, address: address}
	s.muxes = append(s.muxes, m)
	return m
}

// all are a segment and those behind it.
func (s *segment) all() []*segment {
	all := []*segment{s}
	for _, m := range s.muxes {
		for _, channel := range m.channels {
			all = append(all, channel.all()...)
		}
	}
	return all
}

// way are the segments from the board to this one.
func (s *segment) way() []*segment {
	if s.up == nil {
		return []*segment{s}
	}
	return append(s.up.on.way(), s)
}

// route opens the way and closes all others.
func (w *wire) route(way []*segment) error {
	for i, stretch := range way {
		for _, m := range stretch.muxes {
			var channels byte
			if i+1 < len(way) && way[i+1].up == m {
				channels = 1 << way[i+1].channel
			}
			if err := w.choose(m, channels); err != nil {
				return err
			}
		}
	}
	return nil
}

// choose opens the channels whose bits are set, and closes the others.
func (w *wire) choose(m *mux, channels byte) error {
	if m.known && m.selected == channels {
		return nil
	}
	was := m.known
	err := w.transact(m.on, m.address, []byte{channels}, nil)
	if err == nil && !was {
		err = w.prove(m, channels)
	}
	switch {
	case err == nil:
		m.known, m.selected = true, channels
		return nil
	case channels == 0 && !was && errors.Is(err, ErrNoAnswer):
		return nil // it is not there, and nothing behind it can be in the way
	default:
		return fmt.Errorf("multiplexer at %#02x on %s: %w", m.address, m.on.name, err)
	}
}

// prove reads back what was chosen: another chip could sit at the address.
func (w *wire) prove(m *mux, channels byte) error {
	var is [1]byte
	if err := w.transact(m.on, m.address, nil, is[:]); err != nil {
		return err
	}
	if is[0] != channels {
		return fmt.Errorf("told to select %#02x it says %#02x, so it is no PCA9548A; check its address: %w", channels, is[0], gateway.ErrUnavailable)
	}
	return nil
}

// forget means that the multiplexers on a way may have lost their selection.
func forget(way []*segment) {
	for _, stretch := range way {
		for _, m := range stretch.muxes {
			m.known = false
		}
	}
}
