// Package i2csim has chips of I2C buses that behave as their data sheets say,
// register by register and command by command, with the times they take. It is
// for tests: real drivers, ours and periph's, run over them.
//
// A chip that is asked too early answers as the real one does, with its old
// value or not at all; one that is plugged in anew has forgotten its settings.
// Time is that of package time, so that testing/synctest makes it virtual.
package i2csim

import (
	"errors"
	"sync"
	"syscall"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"github.com/fieldpost/fieldpost/drivers/bus"
)

// Chip is what sits at an address.
type Chip interface {
	// Tx takes w, then gives r. A write and the read after it come together
	// or, from the kernel, one by one; then the other is empty. An error is that
	// the chip did not acknowledge.
	Tx(w, r []byte) error
}

// Bus is a bus with chips on it. It is periph's i2c.BusCloser.
type Bus struct {
	mu    sync.Mutex
	chips map[uint16]Chip
	fault func(address uint16, w, r []byte) error
	noise func(address uint16, r []byte)
}

// New returns a bus with these chips on it, by address.
func New(chips map[uint16]Chip) *Bus {
	b := &Bus{chips: make(map[uint16]Chip)}
	for address, chip := range chips {
		b.Plug(address, chip)
	}
	return b
}

// Plug puts a chip on the bus, in place of the one that was at the address.
func (b *Bus) Plug(address uint16, chip Chip) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.chips[address] = chip
}

// Unplug takes a chip off the bus.
func (b *Bus) Unplug(address uint16) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.chips, address)
}

// Fault has f called before each transaction, which fails with the error of f.
// While f does not return, the bus is stuck. nil ends it.
func (b *Bus) Fault(f func(address uint16, w, r []byte) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = f
}

// Noise has f change what chips have answered. nil ends it.
func (b *Bus) Noise(f func(address uint16, r []byte)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.noise = f
}

// byteTime is how long a byte and its acknowledge take at 100 kHz.
const byteTime = 90 * time.Microsecond

// Tx implements i2c.Bus. It takes the time of the wire.
func (b *Bus) Tx(address uint16, w, r []byte) error {
	b.mu.Lock()
	fault := b.fault
	b.mu.Unlock()
	if fault != nil {
		if err := fault(address, w, r); err != nil {
			return err
		}
	}
	time.Sleep(byteTime * time.Duration(1+len(w)+len(r)))
	b.mu.Lock()
	defer b.mu.Unlock()
	chip := b.chips[address]
	if chip == nil {
		return NoAck()
	}
	if err := chip.Tx(w, r); err != nil {
		return err
	}
	if b.noise != nil && len(r) > 0 {
		b.noise(address, r)
	}
	return nil
}

// SetSpeed implements i2c.Bus.
func (b *Bus) SetSpeed(physic.Frequency) error { return nil }

// Close implements i2c.BusCloser.
func (b *Bus) Close() error { return nil }

// String implements i2c.Bus.
func (b *Bus) String() string { return "i2csim" }

// Hardware is a board whose I2C buses are all this one.
func (b *Bus) Hardware() bus.Hardware {
	return bus.Hardware{I2C: func(int) (i2c.BusCloser, error) { return b, nil }}
}

// NoAck is the error when nobody acknowledges, as periph words that of the
// adapter of a Raspberry Pi.
func NoAck() error { return errors.New("sysfs-i2c: " + syscall.EREMOTEIO.Error()) }
