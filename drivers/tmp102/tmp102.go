// Package tmp102 reads Texas Instruments' thermometer TMP102, and the TMP112,
// which differs in its accuracy alone.
//
// Readings:
//
//	temperature  Cel   -40 to 125 in steps of 0.0625; ±0.5 from -25 to 85 °C
//
// Source: Texas Instruments, TMP102 data sheet, SBOS397H.
//
// The chip measures once for each read and is shut down in between, so that it
// does not warm itself. The settings are read back with each value: after a loss
// of power the chip says 0 °C until it has measured.
//
// periph's tmp102 is not used: it takes settings that it could not read for
// zeros, and ones on the bus for -0.06 °C.
package tmp102

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of a TMP102.
type Config struct {
	Bus     string `yaml:"bus" doc:"I2C bus that the chip is on." default:"i2c-1"`
	Address uint16 `yaml:"address" doc:"Address, by its pin ADD0: 0x48 with ADD0 at ground, 0x49 at the supply, 0x4a at SDA, 0x4b at SCL." default:"0x48" min:"0x48" max:"0x4b"`
}

// Places implements bus.Placed.
func (c Config) Places() []bus.Place { return []bus.Place{bus.AtI2C(c.Bus, c.Address)} }

// Chips implements bus.Chipped. The chip has no id; but of its configuration
// two bits are always set and four never, as no other chip there has it.
func (Config) Chips() []bus.Chip {
	return []bus.Chip{{Name: "TMP102", Addresses: []uint16{0x48, 0x49, 0x4a, 0x4b}, Ask: []byte{regConfig}, Answer: 2, Is: isTMP102}}
}

func isTMP102(config []byte) bool { return config[0]&0x60 == 0x60 && config[1]&0x0f == 0 }

// Quantities are what a chip delivers.
func (Config) Quantities() map[string]gateway.Value {
	return map[string]gateway.Value{"temperature": {}}
}

// Registers and bits of the configuration: section 6.5.
const (
	regTemperature = 0x00
	regConfig      = 0x01

	oneShot  = 0x8000 // written: measure; read: it does not measure
	settings = 0x6180 // shut down; two bits that are always set; four times a second
	alert    = 0x0020 // is what the chip makes of it

	takes = 38 * time.Millisecond // 35 at most
)

// Dev is one chip.
type Dev struct {
	config Config
	buses  *bus.Set

	mu   sync.Mutex
	chip *i2c.Dev // nil while closed
}

// New returns a chip that has to be opened.
func New(c Config, buses *bus.Set) (*Dev, error) { return &Dev{config: c, buses: buses}, nil }

// Open finds the chip and shuts it down.
func (d *Dev) Open(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := d.buses.I2C(d.config.Bus)
	if err != nil {
		return err
	}
	if _, err := b.Identify(ctx, d.config.Address, d.config.Chips()); err != nil {
		return err
	}
	chip := &i2c.Dev{Bus: b, Addr: d.config.Address}
	if err := chip.Tx([]byte{regConfig, settings >> 8, settings & 0xff}, nil); err != nil {
		return err
	}
	d.chip = chip
	return nil
}

// Close implements the contract of drivers. The chip is shut down already.
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
	if err := d.chip.Tx([]byte{regConfig, (oneShot | settings) >> 8, settings & 0xff}, nil); err != nil {
		return nil, err
	}
	if err := bus.Wait(ctx, takes); err != nil {
		return nil, err
	}
	value, err := d.register(regTemperature)
	if err != nil {
		return nil, err
	}
	config, err := d.register(regConfig) // after the value, so that it holds for it
	if err != nil {
		return nil, err
	}
	return reading(value, config)
}

func (d *Dev) register(n byte) (uint16, error) {
	var value [2]byte
	err := d.chip.Tx([]byte{n}, value[:])
	return binary.BigEndian.Uint16(value[:]), err
}

// reading makes a value of the register, if the configuration is as it was set.
func reading(value, config uint16) ([]gateway.Reading, error) {
	switch config &^ alert {
	case oneShot | settings:
	case settings:
		return nil, fmt.Errorf("the chip still measures after %v: %w", takes, gateway.ErrTimeout)
	default:
		return nil, fmt.Errorf("the chip has lost its settings (its register 1 has %#04x); has it lost its power, or does another program use it? %w", config, gateway.ErrUnavailable)
	}
	temperature := float64(int16(value)) / 256
	if value&0x0f != 0 || temperature < -40 || temperature > 125 {
		return nil, fmt.Errorf("temperature %.2f Cel (%#04x) is beyond what the chip measures, -40 to 125: %w", temperature, value, gateway.ErrInvalid)
	}
	return []gateway.Reading{{Name: "temperature", Value: gateway.Number(temperature), Unit: "Cel"}}, nil
}
