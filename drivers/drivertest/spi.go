package drivertest

import (
	"testing"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest/spisim"
)

// SPIDriver is a driver for chips on an SPI bus, as SPI checks it.
type SPIDriver struct {
	// New makes a device on the bus spi-0, which is not open yet.
	New func(buses *bus.Set) (any, error)
	// Chips are those that it wants, by chip select, as they are after power-up.
	// They must measure the same each time.
	Chips func() map[int]spisim.Chip
	// Strangers are other chips at their chip selects, and Names what the error
	// must say then; nil if nothing tells the chips apart.
	Strangers func() map[int]spisim.Chip
	Names     []string
	// Unnoticed is which garbage cannot be told from a true value ("ones",
	// "zeros", "short"), with the reason why.
	Unnoticed map[string]string
}

// SPI checks a driver for chips on an SPI bus as I2C does one for chips on an I2C
// bus. A chip that is not there reads as ones, which must be an error that wraps
// gateway.ErrUnavailable.
func SPI(t *testing.T, d SPIDriver) {
	onBus{
		fresh: d.New, rig: func() rig { return newSPIRig(d) },
		strangers: d.Strangers != nil, names: d.Names,
		unnoticed: d.Unnoticed,
	}.check(t)
}

// spiRig is a bus of package spisim.
type spiRig struct {
	driver SPIDriver
	bus    *spisim.Bus
}

func newSPIRig(d SPIDriver) *spiRig { return &spiRig{driver: d, bus: spisim.New(d.Chips())} }

func (r *spiRig) hardware() bus.Hardware { return r.bus.Hardware() }

func (r *spiRig) before(f func() error) {
	r.bus.Fault(func(int) error { return f() })
}

func (r *spiRig) garble(f func(answer []byte)) {
	if f == nil {
		r.bus.Noise(nil)
		return
	}
	r.bus.Noise(func(_ int, answer []byte) { f(answer) })
}

func (r *spiRig) absent() error { return spisim.ErrAbsent }

func (r *spiRig) power() { r.plug(r.driver.Chips()) }

func (r *spiRig) strangers() { r.plug(r.driver.Strangers()) }

func (r *spiRig) plug(chips map[int]spisim.Chip) {
	for chipSelect, chip := range chips {
		r.bus.Plug(chipSelect, chip)
	}
}
