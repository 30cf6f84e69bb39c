package probe

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fieldpost/fieldpost/drivers"
	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/gpiochip"
)

// Options of a probe; the zero value is this board, without anything that could
// be noticed.
type Options struct {
	// Claims are what a running gateway uses.
	Claims []bus.Claim
	// I2C are the buses to ask, such as "i2c-1"; if none is named, all are but
	// those of PCs.
	I2C []string
	// ReadOnly asks no chip for its id.
	ReadOnly bool
	// Commands asks chips, too, that have a command in place of an id register, where
	// nobody has answered.
	Commands bool
	// Listen opens free serial ports, and listens so long at each usual rate. 0
	// leaves them closed. Opening one can reset a board that is attached to it.
	Listen time.Duration
	// Ports are those to listen to; if none is named, all that are free.
	Ports []string
	// Modbus says on which line units are asked for a register; on none if it is nil.
	Modbus *ModbusOptions
	// Progress is told what is done now, by one goroutine at a time.
	Progress func(what string)

	// Drivers whose chips are looked for; if there are none, all of the table.
	Drivers []drivers.Driver
	// Root of all paths; "/" if it is empty.
	Root string
	// Hardware takes the place of the board's own.
	Hardware bus.Hardware
}

// Report is what a probe has found.
type Report struct {
	I2C     []I2CBus     `json:"i2c"`
	OneWire []OneWire    `json:"one_wire"`
	Kernel  []KernelChip `json:"kernel"`
	SPI     []SPIDevice  `json:"spi"`
	GPIO    []GPIOChip   `json:"gpio"`
	Serial  []SerialPort `json:"serial"`
	// Modbus is nil if no units were looked for.
	Modbus *ModbusLine `json:"modbus,omitempty"`
	// Advice says what is missing for more to be found.
	Advice []string `json:"advice,omitempty"`
}

// prober is one probe under way.
type prober struct {
	Options
	buses  *bus.Set
	known  []known
	report Report
}

// Run looks at everything. Its error is that of ctx; what cannot be looked at is
// told in the report.
func Run(ctx context.Context, o Options) (Report, error) {
	if o.Root == "" {
		o.Root = "/"
	}
	if len(o.Drivers) == 0 {
		o.Drivers = drivers.List()
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Hardware.GPIO == nil {
		o.Hardware.GPIO = gpiochip.Kernel{}
	}
	p := &prober{Options: o, buses: bus.New(bus.Options{Hardware: o.Hardware}), known: knownChips(o.Drivers)}
	p.findKernelChips() // first: the addresses that it uses are told by them
	p.findI2C(ctx)
	p.findOneWire()
	p.findSPI()
	p.findGPIO()
	p.findSerial(ctx)
	p.findUnits(ctx)
	_ = p.buses.Close() // what could not be closed ends with the program
	return p.report, ctx.Err()
}

// path is one of the board.
func (p *prober) path(parts ...string) string {
	return filepath.Join(append([]string{p.Root}, parts...)...)
}

func (p *prober) advise(text string) { p.report.Advice = append(p.report.Advice, text) }

// claimed says who of the gateway uses an address, or with -1 a whole device
// file; empty if nobody does.
func (p *prober) claimed(device string, address int) string {
	for _, c := range p.Claims {
		if c.Address == address && (c.Device == device || p.same(c.Device, device)) {
			return c.By
		}
	}
	return ""
}

// same tells whether two names lead to one device file.
func (p *prober) same(a, b string) bool {
	realA, errA := filepath.EvalSymlinks(p.path(a))
	realB, errB := filepath.EvalSymlinks(p.path(b))
	return errA == nil && errB == nil && realA == realB
}
