// Package pca9685 has the 16 outputs of NXP's PCA9685: lamps, fans and valves by
// duty cycle, and servos by angle.
//
// Readings: for each output what it was told to be, in % or deg, by its name; of a
// servo also NAME.active, false while it gets no pulses (and no angle then).
//
// Actions: set_NAME for each output, and off, which ends the pulses of one.
//
// What the outputs should be is kept here; each read compares the registers of the
// chip with that. A chip that has lost its power sleeps and is reported as
// unavailable, opened anew, and its outputs take their safe state. Opening alone
// leaves the outputs of a chip that was only out of reach as they are; but the
// gateway makes outputs safe each time that it has found them again.
//
// Source: NXP, PCA9685 data sheet, revision 4. Its clock can be 3 % off, and so the
// length of pulses. After power-up, until it is opened, the chip answers at 0x70
// too, where a multiplexer may be: give that another address.
//
// periph's pca9685 is not used: it switches all outputs off when it is opened,
// lets a frequency overflow the prescaler, and cannot tell a loss of power.
package pca9685

import (
	"context"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Registers and bits: section 7.3.
const (
	regMode     = 0x00 // and 0x01
	regOutputs  = 0x06 // four each: on (2), off (2), the lower byte first
	regPrescale = 0xfe

	increment = 0x20 // registers count up
	sleep     = 0x10
	restart   = 0x80
	invert    = 0x10
	totemPole = 0x04
	full      = 0x10 // in the upper byte of on or off: always

	starting = 500 * time.Microsecond // of the oscillator
)

// outputs are the registers of all of them.
type outputs [16 * 4]byte

// Dev is one PCA9685.
type Dev struct {
	config Config
	buses  *bus.Set

	known bus.Known

	mu   sync.Mutex
	chip *i2c.Dev // nil while closed
	// values are what the outputs should be, nil for off, in the order of the
	// config.
	values []*float64
	// sure tells whether values are known to have reached the chip.
	sure bool
}

// New returns a chip that has to be opened.
func New(c Config, buses *bus.Set) (*Dev, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Dev{config: c, buses: buses, values: make([]*float64, len(c.Outputs))}, nil
}

// Open sets the chip up, with its outputs in their safe state; one that has kept
// what it was told is left as it is.
func (d *Dev) Open(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := d.buses.I2C(d.config.Bus)
	if err != nil {
		return err
	}
	chip := &i2c.Dev{Bus: b, Addr: d.config.Address}
	is, err := read(chip)
	if err != nil {
		return err
	}
	if !d.sure || d.differs(is) != nil {
		d.sure = false
		d.known.ForgetAll()
		for i, o := range d.config.Outputs {
			d.values[i] = o.Safe
		}
		if err := d.setUp(ctx, chip); err != nil {
			return err
		}
		d.sure = true
	}
	d.chip = chip
	for i, o := range d.config.Outputs {
		d.know(o, d.values[i])
	}
	return nil
}

// setUp writes all registers while the chip sleeps, then wakes it.
func (d *Dev) setUp(ctx context.Context, chip *i2c.Dev) error {
	want := d.registers()
	for _, w := range [][]byte{
		{regMode, increment | sleep, d.mode2()},
		{regPrescale, d.config.prescale()},
		append([]byte{regOutputs}, want[:]...),
		{regMode, increment},
	} {
		if err := chip.Tx(w, nil); err != nil {
			return err
		}
	}
	if err := bus.Wait(ctx, starting); err != nil {
		return err
	}
	is, err := read(chip)
	if err != nil {
		return err
	}
	if err := d.differs(is); err != nil {
		return fmt.Errorf("what answers there does not keep what it is told, so it is no PCA9685: %w", err)
	}
	return nil
}

func (d *Dev) mode2() byte {
	var mode byte
	if d.config.Invert {
		mode |= invert
	}
	if !d.config.OpenDrain {
		mode |= totemPole
	}
	return mode
}

// registers are those of all outputs as they should be.
func (d *Dev) registers() outputs {
	var r outputs
	for n := range 16 {
		copy(r[4*n:], pulse(0))
	}
	for i, o := range d.config.Outputs {
		if v := d.values[i]; v != nil {
			copy(r[4*o.Channel:], pulse(d.config.on(o, *v)))
		}
	}
	return r
}

// pulse are the registers of an output that is on for so many steps.
func pulse(on int) []byte {
	switch {
	case on <= 0:
		return []byte{0, 0, 0, full}
	case on >= steps:
		return []byte{0, full, 0, 0}
	default:
		return []byte{0, 0, byte(on), byte(on >> 8)}
	}
}

// Close implements the contract of drivers. The outputs stay as they are.
func (d *Dev) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.chip = nil
	return nil
}

// Read implements gateway.Sensor.
func (d *Dev) Read(ctx context.Context) ([]gateway.Reading, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.chip == nil:
		return nil, bus.ErrNotOpen
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	is, err := read(d.chip)
	if err != nil {
		return nil, err
	}
	if err := d.differs(is); err != nil {
		return nil, fmt.Errorf("the chip has lost what it was told; has it lost its power? %w", err)
	}
	var readings []gateway.Reading
	for i, o := range d.config.Outputs {
		_, _, unit := o.bounds()
		v := d.values[i]
		if o.servo() {
			readings = append(readings, gateway.Reading{Name: o.active(), Value: gateway.Bool(v != nil)})
		}
		switch {
		case v != nil:
			readings = append(readings, gateway.Reading{Name: o.Name, Value: gateway.Number(*v), Unit: unit})
		case !o.servo():
			readings = append(readings, gateway.Reading{Name: o.Name, Unit: unit})
		}
	}
	return readings, nil
}

// image is what the chip has in its registers.
type image struct {
	modes    [2]byte
	outputs  outputs
	prescale byte
}

// read reads all registers. A chip that sleeps after power-up does not count up;
// then only the first mode means anything.
func read(chip *i2c.Dev) (image, error) {
	var is image
	var all [regOutputs + len(is.outputs)]byte
	var prescale [1]byte
	if err := chip.Tx([]byte{regMode}, all[:]); err != nil {
		return is, err
	}
	if err := chip.Tx([]byte{regPrescale}, prescale[:]); err != nil {
		return is, err
	}
	is.modes, is.outputs, is.prescale = [2]byte(all[:2]), outputs(all[regOutputs:]), prescale[0]
	return is, nil
}

// differs says in what a chip is not as it should be.
func (d *Dev) differs(is image) error {
	want := image{modes: [2]byte{increment, d.mode2()}, outputs: d.registers(), prescale: d.config.prescale()}
	is.modes[0] &^= restart
	switch {
	case is.modes != want.modes:
		return fmt.Errorf("its modes are %x in place of %x: %w", is.modes, want.modes, gateway.ErrUnavailable)
	case is.prescale != want.prescale:
		return fmt.Errorf("its prescaler is %d in place of %d: %w", is.prescale, want.prescale, gateway.ErrUnavailable)
	case is.outputs != want.outputs:
		return fmt.Errorf("its outputs are others than they should be: %w", gateway.ErrUnavailable)
	default:
		return nil
	}
}
