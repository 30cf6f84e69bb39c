package main

import (
	"fmt"

	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
)

// newChip returns a chip that has just been powered.
func newChip(kind string) (i2csim.Chip, error) {
	switch kind {
	case "lm75":
		return &lm75{temperature: 0x1980}, nil
	case "bmp280":
		return i2csim.NewBMP280(), nil
	case "bme280":
		return i2csim.NewBME280(), nil
	case "ads1115":
		return i2csim.NewADS1115(func(input byte) float64 { return 100 * float64(input) }), nil
	case "mcp23017":
		return i2csim.NewMCP23017(), nil
	}
	return nil, fmt.Errorf("there is no chip %q", kind)
}

// lm75 is a thermometer with a pointer and four registers, most significant
// byte first (LM75B data sheet, 7.4): temperature, configuration, hysteresis and
// limit. The temperature counts 1/256 °C.
type lm75 struct {
	pointer       byte
	temperature   uint16
	configuration byte
}

func (c *lm75) Tx(w, r []byte) error {
	if len(w) > 0 {
		c.pointer = w[0] & 3
		if c.pointer == 1 && len(w) > 1 {
			c.configuration = w[1]
		}
	}
	value := map[byte]uint16{0: c.temperature, 1: uint16(c.configuration) << 8, 2: 75 << 8, 3: 80 << 8}[c.pointer]
	for i := range r {
		r[i] = byte(value >> (8 * (1 - i&1)))
	}
	return nil
}
