package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Place is where a device is wired to.
type Place struct {
	// Bus is the name of the bus; empty for what is on none, as a GPIO line.
	Bus string
	// Kind is what kind of bus that must be, such as "i2c".
	Kind string
	// At is the place on the bus, or the whole of it: "0x76", "GPIO17".
	At string
	// Shared places can be those of several devices.
	Shared bool
}

// Placed is the config of a device that is wired to something. Two devices
// cannot be in one place, unless it is shared.
type Placed interface {
	Places() []Place
}

// AtI2C is an address on an I2C bus.
func AtI2C(bus string, address uint16) Place {
	return Place{Bus: bus, Kind: KindI2C, At: fmt.Sprintf("%#02x", address)}
}

// AtSPI is a chip select of an SPI bus.
func AtSPI(bus string, chipSelect int) Place {
	return Place{Bus: bus, Kind: KindSPI, At: fmt.Sprintf("cs%d", chipSelect)}
}

// Present tells whether the device files are there that a device with this config
// depends on: its own, or that of its bus. It opens nothing, disturbs nobody and
// costs next to nothing. What depends on none counts as present.
func (s *Set) Present(config any) bool {
	placed, ok := config.(Placed)
	if !ok {
		return true
	}
	for _, p := range placed.Places() {
		if p.Bus != "" && !s.Present(s.config(p.Bus)) || p.Bus == "" && !isThere(p.At) {
			return false
		}
	}
	return true
}

// isThere is false of a device file that does not exist.
func isThere(path string) bool {
	if !strings.HasPrefix(path, "/dev/") {
		return true
	}
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// String says it for people, as in "i2c-1 at 0x76".
func (p Place) String() string {
	if p.Bus == "" {
		return p.At
	}
	return p.Bus + " at " + p.At
}

// Where says for people where a device with this config is wired to; empty if
// it is not wired to anything.
func Where(config any) string {
	placed, ok := config.(Placed)
	if !ok {
		return ""
	}
	var all []string
	for _, p := range placed.Places() {
		all = append(all, p.String())
	}
	return strings.Join(all, ", ")
}
