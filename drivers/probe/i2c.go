package probe

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/attr"
)

// The addresses that chips can have; the others are kept for the bus itself.
const firstAddress, lastAddress = 0x08, 0x77

// I2CBus is an I2C bus of the board.
type I2CBus struct {
	// Name, as it is in the config: i2c-N for /dev/i2c-N.
	Name string `json:"name"`
	// Adapter is what the kernel calls it.
	Adapter string    `json:"adapter"`
	Chips   []I2CChip `json:"chips"`
	// Problem is why not all of it was asked.
	Problem string `json:"problem,omitempty"`
}

// I2CChip is an address where somebody is.
type I2CChip struct {
	Address uint16 `json:"address"`
	// UsedBy says who has it; it was not asked then.
	UsedBy string `json:"used_by,omitempty"`
	// Chip is what it is by its id, and Driver who is for it.
	Chip   string `json:"chip,omitempty"`
	Driver string `json:"driver,omitempty"`
	// Maybe is what it could be by its address.
	Maybe []Candidate `json:"maybe,omitempty"`
	// Else is what else is often there.
	Else []string `json:"else,omitempty"`
	// Note says why it was not asked more.
	Note string `json:"note,omitempty"`
	// Asked is what was written to it, and the answers.
	Asked []Question `json:"asked,omitempty"`

	keys keys
}

// Candidate is a driver, with those of its chips that can be at an address.
type Candidate struct {
	Chip   string `json:"chip"`
	Driver string `json:"driver"`

	keys keys
}

// Question is what was written to a chip, and its answer, in hexadecimal.
type Question struct {
	Wrote string `json:"wrote"`
	Read  string `json:"read"`
}

func (p *prober) findI2C(ctx context.Context) {
	devices, _ := filepath.Glob(p.path("dev", "i2c-[0-9]*")) // the pattern is right
	if len(devices) == 0 {
		p.adviseI2C()
	}
	slices.SortFunc(devices, byNumber)
	for _, device := range devices {
		name := filepath.Base(device)
		if len(p.I2C) > 0 && !slices.Contains(p.I2C, name) {
			continue
		}
		p.report.I2C = append(p.report.I2C, p.askBus(ctx, name))
	}
	p.adviseCommands()
	for _, name := range p.I2C {
		if !slices.ContainsFunc(p.report.I2C, func(b I2CBus) bool { return b.Name == name }) {
			p.advise(fmt.Sprintf("There is no bus %s (/dev/%s).", name, name))
		}
	}
}

// byNumber orders i2c-2 before i2c-10.
func byNumber(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func (p *prober) adviseI2C() {
	if there, _ := filepath.Glob(p.path("sys/bus/i2c/devices/i2c-*")); len(there) > 0 { // the pattern is right
		p.advise("The kernel has I2C buses, but no device files for programs: modprobe i2c-dev, and write i2c-dev into /etc/modules.")
		return
	}
	p.advise("There is no I2C bus. On a Raspberry Pi: raspi-config, Interface Options, I2C; or dtparam=i2c_arm=on in /boot/firmware/config.txt, then restart.")
}

// adviseCommands says which chips have not been looked for.
func (p *prober) adviseCommands() {
	asked := slices.ContainsFunc(p.report.I2C, func(b I2CBus) bool { return b.Problem == "" })
	if !asked || p.Commands || p.ReadOnly {
		return
	}
	var names []string
	for _, k := range p.known {
		if k.Is != nil && k.isCommand() && !slices.Contains(names, k.Name) {
			names = append(names, k.Name)
		}
	}
	if len(names) > 0 {
		p.advise(fmt.Sprintf("Not looked for, since they do not answer when they are just read: %s. With --commands a command is written to their addresses, where nobody has answered.", strings.Join(names, ", ")))
	}
}

func (p *prober) askBus(ctx context.Context, name string) I2CBus {
	b := I2CBus{Name: name, Chips: []I2CChip{}}
	b.Adapter, _ = attr.Text(p.path("sys/bus/i2c/devices", name, "name")) // empty if it is not known
	if strings.Contains(b.Adapter, "SMBus") && !slices.Contains(p.I2C, name) {
		b.Problem = "not asked, since it seems to be the board's own; to ask it all the same: fieldpost probe --bus " + name
		return b
	}
	wire, err := p.buses.I2C(name)
	if err != nil {
		b.Problem = p.explainBus(name, err)
		return b
	}
	above := p.above(name)
	for address := uint16(firstAddress); address <= lastAddress && ctx.Err() == nil; address++ {
		if slices.Contains(above, address) {
			continue // it answers here, too
		}
		p.Progress(fmt.Sprintf("%s at %#02x", name, address))
		chip, err := p.askAddress(ctx, wire, address)
		if chip != nil {
			b.Chips = append(b.Chips, *chip)
		}
		if err != nil {
			b.Problem = fmt.Sprintf("asked up to %#02x: %v", address, err)
			break
		}
	}
	return b
}

func (p *prober) explainBus(name string, err error) string {
	if errors.Is(unix.Access(p.path("dev", name), unix.R_OK|unix.W_OK), unix.EACCES) {
		return "you may not use it; join the group i2c (sudo usermod -aG i2c $USER, then log in again), or use sudo"
	}
	return err.Error()
}

// above are the addresses that are taken on the bus that a multiplexer of the
// kernel hangs on: whoever is there answers on its channels, too.
func (p *prober) above(name string) (addresses []uint16) {
	target, err := filepath.EvalSymlinks(p.path("sys/bus/i2c/devices", name))
	if err != nil {
		return nil
	}
	parent := filepath.Base(filepath.Dir(target))
	for _, b := range p.report.I2C {
		if b.Name == parent {
			for _, c := range b.Chips {
				addresses = append(addresses, c.Address)
			}
			return append(addresses, p.above(parent)...)
		}
	}
	return nil
}

// askAddress is nil if nobody is there. Its error is that of a bus that does not
// work.
func (p *prober) askAddress(ctx context.Context, b *bus.I2C, address uint16) (*I2CChip, error) {
	chip := &I2CChip{Address: address}
	if chip.UsedBy = p.usedBy(b.String(), address); chip.UsedBy != "" {
		return chip, nil
	}
	q := questions{chip: chip, bus: b}
	before, err := q.read()
	silent := errors.Is(err, bus.ErrNoAnswer)
	if err != nil && !silent {
		return nil, err
	}
	if !silent {
		p.describe(chip)
	}
	switch {
	case p.ReadOnly:
	case silent:
		err = p.command(ctx, &q)
	default:
		err = p.identify(ctx, &q, before)
	}
	if errors.Is(err, bus.ErrNoAnswer) {
		err = nil
	}
	if silent && chip.Chip == "" {
		return nil, err
	}
	return chip, err
}

// usedBy says whether the gateway or a driver of the kernel has an address.
func (p *prober) usedBy(name string, address uint16) string {
	if by := p.claimed("/dev/"+name, int(address)); by != "" {
		return by
	}
	number := strings.TrimPrefix(name, "i2c-")
	dir := p.path("sys/bus/i2c/devices", fmt.Sprintf("%s-%04x", number, address))
	if !attr.Exists(dir) {
		return ""
	}
	chip, _ := attr.Text(filepath.Join(dir, "name")) // empty if it is not known
	driver := linked(filepath.Join(dir, "driver"))
	if driver == "" {
		return fmt.Sprintf("the kernel as %s, without a driver", chip)
	}
	text := fmt.Sprintf("the kernel as %s, by its driver %s", chip, driver)
	for _, k := range p.report.Kernel {
		if k.Device == filepath.Base(dir) {
			text += fmt.Sprintf("; the driver %s of fieldpost reads it", k.Driver)
		}
	}
	return text
}

// describe says what a chip could be by its address.
func (p *prober) describe(chip *I2CChip) {
	for _, k := range p.at(chip.Address) {
		if i := slices.IndexFunc(chip.Maybe, func(c Candidate) bool { return c.Driver == k.driver }); i >= 0 {
			chip.Maybe[i].Chip += " or " + k.Name
			continue
		}
		chip.Maybe = append(chip.Maybe, Candidate{Chip: k.Name, Driver: k.driver, keys: k.keys})
	}
	chip.Else = usualAt(chip.Address)
	if could := moves(chip.Address, true); could != "" {
		chip.Note = "not asked for an id, since a byte could " + could
	}
}
