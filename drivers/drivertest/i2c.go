package drivertest

import (
	"testing"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
)

// I2CDriver is a driver for chips on an I2C bus, as I2C checks it.
type I2CDriver struct {
	// New makes a device on the bus i2c-1, which is not open yet.
	New func(buses *bus.Set) (any, error)
	// Chips are those that it wants, by address, as they are after power-up. They
	// must measure the same each time.
	Chips func() map[uint16]i2csim.Chip
	// Strangers are other chips at their addresses, and Names what the error
	// must say then; nil if nothing tells the chips apart.
	Strangers func() map[uint16]i2csim.Chip
	Names     []string
	// Checksums says that the answers of the chip have some, so that a wrong bit
	// is noticed.
	Checksums bool
	// Unnoticed is which garbage cannot be told from a true value ("ones",
	// "zeros", "short"), with the reason why.
	Unnoticed map[string]string
}

// I2C checks a driver for chips on an I2C bus: with all well it does what Run
// wants, and whatever happens on the bus it gives an error or a true value, in
// time, and is good again once the bus is. The bus is simulated and time is
// virtual, so that the suite takes a moment.
func I2C(t *testing.T, d I2CDriver) {
	onBus{
		fresh: d.New, rig: func() rig { return newI2CRig(d) },
		strangers: d.Strangers != nil, names: d.Names,
		checksums: d.Checksums, unnoticed: d.Unnoticed,
	}.check(t)
}

// i2cRig is a bus of package i2csim.
type i2cRig struct {
	driver I2CDriver
	bus    *i2csim.Bus
}

func newI2CRig(d I2CDriver) *i2cRig { return &i2cRig{driver: d, bus: i2csim.New(d.Chips())} }

func (r *i2cRig) hardware() bus.Hardware { return r.bus.Hardware() }

func (r *i2cRig) before(f func() error) {
	r.bus.Fault(func(uint16, []byte, []byte) error { return f() })
}

func (r *i2cRig) garble(f func(answer []byte)) {
	if f == nil {
		r.bus.Noise(nil)
		return
	}
	r.bus.Noise(func(_ uint16, answer []byte) { f(answer) })
}

func (r *i2cRig) absent() error { return i2csim.NoAck() }

func (r *i2cRig) power() { r.plug(r.driver.Chips()) }

func (r *i2cRig) strangers() { r.plug(r.driver.Strangers()) }

func (r *i2cRig) plug(chips map[uint16]i2csim.Chip) {
	for address, chip := range chips {
		r.bus.Plug(address, chip)
	}
}
