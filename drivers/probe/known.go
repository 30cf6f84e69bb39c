package probe

import (
	"reflect"
	"slices"

	"github.com/fieldpost/fieldpost/drivers"
	"github.com/fieldpost/fieldpost/drivers/bus"
)

// known is a chip that a driver is for.
type known struct {
	bus.Chip
	driver string
	keys   keys
}

// keys are what the config of a driver for chips on I2C has.
type keys struct {
	// address says that there is a key for it, since the chip can have several.
	address bool
	// required are those that nobody but the user knows.
	required []string
}

// knownChips are those that drivers are for.
func knownChips(list []drivers.Driver) (all []known) {
	for _, d := range list {
		c, ok := d.Config().(bus.Chipped)
		if !ok {
			continue
		}
		chips := c.Chips()
		var addresses []uint16
		for _, chip := range chips {
			addresses = append(addresses, chip.Addresses...)
		}
		slices.Sort(addresses)
		k := keys{address: len(slices.Compact(addresses)) > 1, required: required(reflect.TypeOf(c).Elem())}
		for _, chip := range chips {
			all = append(all, known{Chip: chip, driver: d.Name, keys: k})
		}
	}
	return all
}

// required lists the keys that a config struct cannot do without.
func required(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			names = append(names, required(f.Type)...)
		case f.Tag.Get("required") == "true":
			names = append(names, f.Tag.Get("yaml"))
		}
	}
	return names
}

// at are the chips that can have an address.
func (p *prober) at(address uint16) (chips []known) {
	for _, k := range p.known {
		if slices.Contains(k.Addresses, address) {
			chips = append(chips, k)
		}
	}
	return chips
}

// isCommand tells that a chip has no id register: it must be told to say who it
// is, and needs time for it.
func (k known) isCommand() bool { return len(k.Ask) > 1 || k.Pause > 0 }

// usual is what else is often at an address.
type usual struct {
	first, last uint16
	what        string
	// moves says what a written byte could do; empty if it does no harm.
	moves string
	// silent says that it may not answer a read, and be there all the same.
	silent bool
}

var usuals = []usual{
	{0x20, 0x27, "an expander such as PCF8574 or PCA9555", "switch its outputs", false},
	{0x28, 0x2f, "a digital potentiometer", "move its wiper", false},
	{0x30, 0x37, "the write protection of a memory", "lock the memory", true},
	{0x38, 0x3f, "an expander such as PCF8574A", "switch its outputs", false},
	{0x3c, 0x3d, "a display", "", false},
	{0x48, 0x4f, "a converter such as PCF8591", "change its analog output", false},
	{0x50, 0x57, "a memory such as 24C32", "be stored", true},
	{0x58, 0x5f, "a memory", "be stored", true},
	{0x60, 0x67, "a converter such as MCP4725", "change its analog output", false},
	{0x68, 0x68, "a clock such as DS3231", "", false},
	{0x70, 0x77, "a multiplexer such as PCA9548A", "", false},
}

// usualAt is what else is often at an address.
func usualAt(address uint16) (what []string) {
	for _, u := range usuals {
		if u.first <= address && address <= u.last {
			what = append(what, u.what)
		}
	}
	return what
}

// moves says what a byte that is written to an address could do, where somebody
// has answered a read or nobody has; empty if it does no harm.
func moves(address uint16, answered bool) string {
	for _, u := range usuals {
		if u.first <= address && address <= u.last && u.moves != "" && (answered || u.silent) {
			return u.moves
		}
	}
	return ""
}

const firstMux, lastMux = 0x70, 0x77
