// Package scd4x reads Sensirion's CO2 sensors SCD40 and SCD41.
//
// Readings:
//
//	co2          ppm  400 to 2000; ±(50 + 5 %) by an SCD40, to 5000 by an SCD41
//	temperature  Cel  -10 to 60; ±0.8 from 15 to 35 °C
//	humidity     %RH  0 to 100; ±6
//
// Source: Sensirion, SCD4x data sheet, version 1.5 (May 2024).
//
// The sensor measures by itself every 5 s, or every 30 s with low_power; a read
// waits for what it has not given yet. The CO2 of the first minute after the start
// is given as uncertain: that is how long the sensor takes to follow its air.
//
// Pressure changes the result by 0.1 % for each hPa: tell it the altitude, or the
// pressure. With self_calibration it takes the lowest value of some days for fresh
// air (400 ppm), so it must see fresh air once a week; where it never does, as in
// a greenhouse with CO2, switch that off. Settings are not written into its EEPROM.
//
// periph's scd4x is not used: it leaves the sensor no time between a command and
// its answer, waits for seconds without an end by a context, and its
// SetConfiguration locks itself out.
package scd4x

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/sensirion"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of a sensor. It has one address.
type Config struct {
	Bus             string  `yaml:"bus" doc:"I2C bus that the chip is on; its address is always 0x62." default:"i2c-1"`
	Altitude        int     `yaml:"altitude" doc:"Altitude in m above the sea, for the pressure of the air." default:"0" min:"0" max:"3000"`
	Pressure        int     `yaml:"pressure" doc:"Pressure of the air in hPa, in place of the altitude. Left out: by the altitude." min:"700" max:"1200" example:"1013"`
	Offset          float64 `yaml:"temperature_offset" doc:"How much warmer the sensor is than its air, in Cel: it warms itself, and so does what is around it. It changes temperature and humidity, not CO2." default:"4" min:"0" max:"20"`
	SelfCalibration bool    `yaml:"self_calibration" doc:"Takes the lowest CO2 of some days for fresh air. Only where the sensor sees fresh air once a week." default:"true"`
	LowPower        bool    `yaml:"low_power" doc:"Measures every 30 s instead of 5 s, at a fifth of the power." default:"false"`
}

const address = 0x62

// Validate checks what tags cannot.
func (c Config) Validate() error {
	if c.Pressure > 0 && c.Altitude > 0 {
		return &gateway.FieldError{Field: "pressure", Problem: "takes the place of altitude; want one of them"}
	}
	return nil
}

// Quantities are what the sensor gives.
func (Config) Quantities() map[string]gateway.Value {
	return map[string]gateway.Value{"co2": {}, "temperature": {}, "humidity": {}}
}

// Places implements bus.Placed.
func (c Config) Places() []bus.Place { return []bus.Place{bus.AtI2C(c.Bus, address)} }

// Chips implements bus.Chipped. One that is measuring does not give its id.
func (Config) Chips() []bus.Chip {
	return []bus.Chip{{
		Name: "SCD4x", Addresses: []uint16{address},
		Ask: []byte{0x36, 0x82}, Pause: pause, Answer: 9, Is: sensirion.Sound,
	}}
}

// Commands: table 9.
const (
	cmdStart       = 0x21b1
	cmdStartSlow   = 0x21ac
	cmdStop        = 0x3f86
	cmdReady       = 0xe4b8
	cmdRead        = 0xec05
	cmdOffset      = 0x241d
	cmdAltitude    = 0x2427
	cmdPressure    = 0xe000
	cmdCalibration = 0x2416

	pause    = time.Millisecond // from a command to its answer
	stopping = 500 * time.Millisecond
	// settling is how long the sensor takes to follow its air: its τ63.
	settling = time.Minute
)

// interval is the time between two measurements.
func (c Config) interval() time.Duration {
	if c.LowPower {
		return 30 * time.Second
	}
	return 5 * time.Second
}

// Dev is one sensor.
type Dev struct {
	config Config
	buses  *bus.Set

	mu    sync.Mutex
	chip  *i2c.Dev // nil while closed
	begun time.Time
}

// New returns a sensor that has to be opened.
func New(c Config, buses *bus.Set) (*Dev, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Dev{config: c, buses: buses}, nil
}

// Open finds the sensor, sets it up and lets it measure.
func (d *Dev) Open(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := d.buses.I2C(d.config.Bus)
	if err != nil {
		return err
	}
	chip := &i2c.Dev{Bus: b, Addr: address}
	if err := stop(ctx, chip); err != nil {
		return b.Hint(ctx, err, address, d.config.Chips())
	}
	if _, err := b.Identify(ctx, address, d.config.Chips()); err != nil {
		return err
	}
	for _, c := range d.settings() {
		if err := chip.Tx(c, nil); err != nil {
			return err
		}
		if err := bus.Wait(context.WithoutCancel(ctx), pause); err != nil {
			return err
		}
	}
	d.chip, d.begun = chip, time.Now()
	return nil
}

// stop ends what the sensor measures, so that it takes settings. One that was
// told to stop just now does not answer yet.
func stop(ctx context.Context, chip *i2c.Dev) error {
	err := chip.Tx(command(cmdStop), nil)
	if errors.Is(err, bus.ErrNoAnswer) {
		if err := bus.Wait(ctx, stopping); err != nil {
			return err
		}
		err = chip.Tx(command(cmdStop), nil)
	}
	if err != nil {
		return err
	}
	return bus.Wait(ctx, stopping)
}

// settings are the commands that set the sensor up; the last lets it measure.
func (d *Dev) settings() [][]byte {
	c := d.config
	air := command(cmdAltitude, uint16(c.Altitude)) //nolint:gosec // 0 to 3000
	if c.Pressure > 0 {
		air = command(cmdPressure, uint16(c.Pressure)) //nolint:gosec // 700 to 1200
	}
	var calibration uint16
	if c.SelfCalibration {
		calibration = 1
	}
	start := command(cmdStart)
	if c.LowPower {
		start = command(cmdStartSlow)
	}
	return [][]byte{
		command(cmdOffset, uint16(math.Round(c.Offset*65535/175))),
		air, command(cmdCalibration, calibration), start,
	}
}

// Close implements the contract of drivers. The sensor goes on measuring.
func (d *Dev) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.chip = nil
	return nil
}

// Read implements gateway.Sensor. It waits for a measurement that has not been
// read yet.
func (d *Dev) Read(ctx context.Context) ([]gateway.Reading, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.chip == nil {
		return nil, bus.ErrNotOpen
	}
	if err := d.await(ctx); err != nil {
		return nil, err
	}
	words, err := d.ask(ctx, cmdRead, 3)
	if err != nil {
		return nil, err
	}
	return d.readings(words)
}

// await waits until there is something to read.
func (d *Dev) await(ctx context.Context) error {
	const step = 250 * time.Millisecond
	for waited := time.Duration(0); waited <= d.config.interval()+4*step; waited += step {
		words, err := d.ask(ctx, cmdReady, 1)
		if err != nil {
			return err
		}
		if words[0]&0x07ff != 0 {
			return nil
		}
		if err := bus.Wait(ctx, step); err != nil {
			return err
		}
	}
	return fmt.Errorf("the sensor has not measured for %v; has it lost its power? %w", d.config.interval(), gateway.ErrUnavailable)
}

// ask sends a command and reads so many words. It is not interrupted in between,
// since the sensor would not take the next command then.
func (d *Dev) ask(ctx context.Context, cmd uint16, words int) ([]uint16, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := d.chip.Tx(command(cmd), nil); err != nil {
		return nil, err
	}
	if err := bus.Wait(context.WithoutCancel(ctx), pause); err != nil {
		return nil, err
	}
	answer := make([]byte, 3*words)
	if err := d.chip.Tx(nil, answer); err != nil {
		return nil, err
	}
	return sensirion.Words(answer)
}

// command is a command with its arguments.
func command(cmd uint16, words ...uint16) []byte {
	return sensirion.Append([]byte{byte(cmd >> 8), byte(cmd)}, words...)
}

// readings makes values of a measurement: section 3.6.2.
func (d *Dev) readings(words []uint16) ([]gateway.Reading, error) {
	co2 := gateway.Reading{Name: "co2", Value: gateway.Number(float64(words[0])), Unit: "ppm"}
	temperature := -45 + 175*float64(words[1])/65535
	humidity := 100 * float64(words[2]) / 65535
	rest := []gateway.Reading{
		{Name: "temperature", Value: gateway.Number(temperature), Unit: "Cel"},
		{Name: "humidity", Value: gateway.Number(humidity), Unit: "%RH"},
	}
	switch {
	case temperature < -10 || temperature > 60:
		return nil, fmt.Errorf("temperature %.1f Cel is beyond what the sensor measures, -10 to 60: %w", temperature, gateway.ErrInvalid)
	case words[0] == 0 || words[0] > 40_000:
		return rest, fmt.Errorf("co2 %d ppm is what the sensor says when it cannot measure: %w", words[0], gateway.ErrInvalid)
	case words[0] > 5000, time.Since(d.begun) < settling:
		co2.Quality = gateway.Uncertain
	}
	return append([]gateway.Reading{co2}, rest...), nil
}
