// Package bme280 reads Bosch's BME280 and BMP280: the climate of the air, of
// which the BMP280 has all but the humidity. Which of the two it is, the chip
// says.
//
// Readings:
//
//	temperature  Cel   -40 to 85; ±1.0 (±0.5 at 25 °C); it is that of the chip
//	pressure     Pa    30000 to 110000; ±100; at the place, not at sea level
//	humidity     %RH   0 to 100; ±3; only of a BME280
//
// Sources: Bosch, BME280 data sheet, BST-BME280-DS002-15, revision 1.6; BMP280 data
// sheet, BST-BMP280-DS001-11, revision 1.14.
//
// The chip sleeps between two reads, so that it does not warm itself. Many
// boards sold as BME280 carry a BMP280: then there is no humidity, and the part
// number on the board is wrong.
//
// periph's bmxx80 is not used: it loops for ever on a bus that reads as ones,
// hides what kind of error the bus had, and makes a humidity of what stands for
// none in a chip that has lost its settings.
package bme280

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of a BME280 or BMP280.
type Config struct {
	Bus     string `yaml:"bus" doc:"I2C bus that the chip is on." default:"i2c-1"`
	Address uint16 `yaml:"address" doc:"Address, by its pin SDO: 0x76 with SDO at ground, 0x77 at the supply." default:"0x76" min:"0x76" max:"0x77"`
}

// Places implements bus.Placed.
func (c Config) Places() []bus.Place { return []bus.Place{bus.AtI2C(c.Bus, c.Address)} }

// Chips implements bus.Chipped.
func (Config) Chips() []bus.Chip {
	return []bus.Chip{withID("BME280", idBME280), withID("BMP280", 0x58)}
}

// Quantities are those of a BME280, all numbers; a BMP280 has no humidity.
func (Config) Quantities() map[string]gateway.Value {
	return map[string]gateway.Value{"temperature": {}, "pressure": {}, "humidity": {}}
}

const idBME280 = 0x60

// relatives have the same addresses and another id in the same register.
func relatives() []bus.Chip {
	return []bus.Chip{withID("BMP180", 0x55), withID("BME680 or BME688", 0x61), withID("BMP280 (sample)", 0x56), withID("BMP280 (sample)", 0x57)}
}

func withID(name string, id byte) bus.Chip {
	return bus.Chip{Name: name, Addresses: []uint16{0x76, 0x77}, Ask: []byte{regID}, Answer: 1, Is: bus.HasID(id)}
}

// Registers: section 5.3 of the BME280.
const (
	regCalibration = 0x88
	regID          = 0xd0
	regHumidCalib  = 0xe1
	regControlHum  = 0xf2
	regControl     = 0xf4
	regConfig      = 0xf5
)

// How it measures: pressure four times, the others once, which gives a noise of
// 0.005 °C, 2.1 Pa and 0.07 %RH (section 3.6). It takes 16.2 ms at most
// (section 9.1).
const (
	controlHum = 0x01
	control    = 0x01<<5 | 0x03<<2 // asleep
	forced     = 0x01              // once
	takes      = 17 * time.Millisecond
	// config has no filter. The pause that it sets has no effect in forced mode;
	// it is a value that no chip has after power-up, so that one that has lost its
	// power, and may be another one by now, is noticed.
	config = 0xa0
)

// Dev is one chip.
type Dev struct {
	config Config
	buses  *bus.Set

	mu    sync.Mutex
	chip  *i2c.Dev // nil while closed
	humid bool     // it is a BME280
	calib calibration
}

// New returns a chip that has to be opened.
func New(c Config, buses *bus.Set) (*Dev, error) { return &Dev{config: c, buses: buses}, nil }

// Open finds the chip and reads its calibration.
func (d *Dev) Open(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := d.buses.I2C(d.config.Bus)
	if err != nil {
		return err
	}
	found, err := b.Identify(ctx, d.config.Address, d.config.Chips(), relatives()...)
	if err != nil {
		return err
	}
	chip := &i2c.Dev{Bus: b, Addr: d.config.Address}
	d.humid = found.Is([]byte{idBME280})
	if d.calib, err = calibrate(chip, d.humid); err != nil {
		return err
	}
	if err := chip.Tx([]byte{regControl, control, regControlHum, controlHum, regConfig, config}, nil); err != nil {
		return err
	}
	d.chip = chip
	return nil
}

// Close implements the contract of drivers. The chip is asleep already.
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
	if d.chip == nil {
		return nil, bus.ErrNotOpen
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := d.chip.Tx([]byte{regControl, control | forced}, nil); err != nil {
		return nil, err
	}
	if err := bus.Wait(ctx, takes); err != nil {
		return nil, err
	}
	// Settings and values come in one transaction, so that they belong together.
	var r [13]byte
	if err := d.chip.Tx([]byte{regControlHum}, r[:]); err != nil {
		return nil, err
	}
	if err := d.checkSettings(r[:4]); err != nil {
		return nil, err
	}
	return d.readings(r[5:])
}

// checkSettings is given what is in the registers 0xf2 to 0xf5.
func (d *Dev) checkSettings(r []byte) error {
	const measuring = 0x08
	if r[2] == control|forced || r[1]&measuring != 0 && r[3] == config {
		return fmt.Errorf("the chip still measures after %v: %w", takes, gateway.ErrTimeout)
	}
	if d.humid && r[0] != controlHum || r[2] != control || r[3] != config {
		return fmt.Errorf("the chip has lost its settings (its registers from 0xf2 are %x); has it lost its power, or does another program use it? %w", r, gateway.ErrUnavailable)
	}
	return nil
}

// readings makes values of the registers from 0xf7 on.
func (d *Dev) readings(r []byte) ([]gateway.Reading, error) {
	if (r[2]|r[5])&0x0f != 0 {
		return nil, fmt.Errorf("the values %x have bits that are never set; check the wires: %w", r, gateway.ErrUnavailable)
	}
	fine, err := d.calib.fine(twenty(r[3:]))
	if err != nil {
		return nil, err
	}
	readings := []gateway.Reading{{Name: "temperature", Value: gateway.Number(fine.celsius()), Unit: "Cel"}}
	var errs []error
	add := func(name, unit string, value float64, err error) {
		errs = append(errs, err)
		if err == nil {
			readings = append(readings, gateway.Reading{Name: name, Value: gateway.Number(value), Unit: unit})
		}
	}
	pressure, err := d.calib.pressure(twenty(r), fine)
	add("pressure", "Pa", pressure, err)
	if d.humid {
		humidity, err := d.calib.humidity(uint16(r[6])<<8|uint16(r[7]), fine)
		add("humidity", "%RH", humidity, err)
	}
	return readings, errors.Join(errs...)
}

// twenty is a value of 20 bits.
func twenty(r []byte) uint32 { return uint32(r[0])<<12 | uint32(r[1])<<4 | uint32(r[2])>>4 }
