// Package hx711 reads a load cell by an HX711, an amplifier and 24-bit converter
// on two GPIO lines.
//
// Readings:
//
//	weight   unit   (raw - tare) / scale; if scale is given
//	raw             of the converter, -8388608 to 8388607: the median of samples
//
// To calibrate, leave scale out and read raw: with nothing on the scale it is
// tare; with a known weight on it, scale is (raw - tare) / weight.
//
// The chip falls asleep if its clock is high for more than 60 µs, and a program
// that the kernel may interrupt cannot promise to be quicker. So each high phase is
// timed; a sample with one that took too long is given up, the chip is started anew
// and asked again, three times at most. On a board that is busy all the time use
// the kernel's driver hx711 (device tree node avia,hx711), which blocks interrupts,
// and the driver iio. periph's driver is not used: it does not time the clock, and
// takes whatever comes of it for a measurement.
//
// Source: AVIA Semiconductor, HX711 data sheet, English edition: serial interface,
// reset and power-down.
package hx711

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/gpiochip"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of a load cell.
type Config struct {
	Data    string  `yaml:"data" doc:"GPIO line of DOUT (DT): its name, or its offset on the chip." required:"true" example:"GPIO5"`
	Clock   string  `yaml:"clock" doc:"GPIO line of PD_SCK (SCK): its name, or its offset on the chip." required:"true" example:"GPIO6"`
	Chip    string  `yaml:"chip" doc:"Label or name of the GPIO chip of both lines, as gpiodetect lists it; needed only with offsets, or if several chips have lines of these names." example:"pinctrl-bcm2711"`
	Gain    int     `yaml:"gain" doc:"128 and 64 read input A (±20 mV and ±40 mV at 5 V), 32 reads input B (±80 mV)." default:"128" min:"32" max:"128"`
	Samples int     `yaml:"samples" doc:"Conversions per reading, whose median counts; each of them, and one more, takes 100 ms, or 12.5 ms with RATE high." default:"3" min:"1" max:"25"`
	Tare    float64 `yaml:"tare" doc:"What raw is with nothing on the scale." default:"0" min:"-8388608" max:"8388607"`
	Scale   float64 `yaml:"scale" doc:"How much raw grows per unit of weight; negative if it falls. 0: only raw is read." default:"0" example:"21735.4"`
	Unit    string  `yaml:"unit" doc:"Unit of weight." default:"kg" oneof:"kg|g|N"`
}

func (c Config) data() bus.LineConfig { return bus.LineConfig{Line: c.Data, Chip: c.Chip} }

func (c Config) clock() bus.LineConfig { return bus.LineConfig{Line: c.Clock, Chip: c.Chip} }

// Places implements bus.Placed.
func (c Config) Places() []bus.Place { return []bus.Place{bus.AtLine(c.data()), bus.AtLine(c.clock())} }

// Quantities are what is read of it.
func (c Config) Quantities() map[string]gateway.Value {
	all := map[string]gateway.Value{"raw": {}}
	if c.Scale != 0 {
		all["weight"] = gateway.Value{}
	}
	return all
}

// Validate checks what no tag can say.
func (c Config) Validate() error {
	var errs []error
	for field, line := range map[string]bus.LineConfig{"data": c.data(), "clock": c.clock()} {
		if fault := (*gateway.FieldError)(nil); errors.As(line.Validate(), &fault) {
			errs = append(errs, &gateway.FieldError{Field: field, Problem: fault.Problem})
		}
	}
	if c.Data == c.Clock {
		errs = append(errs, &gateway.FieldError{Field: "clock", Problem: "it is the line of data; want another"})
	}
	if pulses(c.Gain) == 0 {
		errs = append(errs, &gateway.FieldError{Field: "gain", Problem: fmt.Sprintf("%d is not allowed; want 128, 64 or 32", c.Gain)})
	}
	return errors.Join(errs...)
}

// Dev is a load cell with its converter.
type Dev struct {
	config Config
	buses  *bus.Set
	now    func() time.Time // of the clock's high phases

	mu   sync.Mutex // held for as long as a measurement takes
	wire *wire      // nil if it is not open
}

// New returns a load cell whose lines are not touched before Open.
func New(c Config, buses *bus.Set) (*Dev, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Dev{config: c, buses: buses, now: time.Now}, nil
}

// Open implements gateway.Opener. The chip has no id: it is there if it converts.
func (d *Dev) Open(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.wire != nil {
		return nil
	}
	// An open data line looks like a conversion that does not end.
	data, err := d.buses.Input(d.config.data(), bus.InputOptions{Pull: gpiochip.PullUp})
	if err != nil {
		return err
	}
	clock, err := d.buses.Output(d.config.clock(), bus.OutputOptions{})
	if err != nil {
		return errors.Join(err, data.Close())
	}
	w := &wire{data: data, clock: clock, pulses: pulses(d.config.Gain), fresh: true, now: d.now}
	if err := w.patiently(func() error { return w.start(ctx) }); err != nil {
		return errors.Join(err, w.close())
	}
	d.wire = w
	return nil
}

// Read implements gateway.Sensor.
func (d *Dev) Read(ctx context.Context) ([]gateway.Reading, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.wire == nil {
		return nil, bus.ErrNotOpen
	}
	if err := d.wire.drop(ctx); err != nil {
		return nil, err
	}
	samples := make([]int32, d.config.Samples)
	for i := range samples {
		var err error
		if samples[i], err = d.wire.measure(ctx); err != nil {
			return nil, err
		}
	}
	raw := median(samples)
	readings := []gateway.Reading{{Name: "raw", Value: gateway.Number(raw)}}
	if d.config.Scale != 0 {
		weight := (raw - d.config.Tare) / d.config.Scale
		readings = append(readings, gateway.Reading{Name: "weight", Value: gateway.Number(weight), Unit: d.config.Unit})
	}
	return readings, nil
}

func median(samples []int32) float64 {
	slices.Sort(samples)
	n := len(samples)
	return (float64(samples[(n-1)/2]) + float64(samples[n/2])) / 2
}

// Close gives the lines back. It may be called twice.
func (d *Dev) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.wire == nil {
		return nil
	}
	err := d.wire.close()
	d.wire = nil
	return err
}
