package i2csim

import (
	"encoding/binary"
	"time"
)

// ADS1115 is TI's converter of four voltages (SBAS444D): a pointer, registers of
// 16 bits with the most significant byte first, and conversions that take the
// time of the chosen rate.
type ADS1115 struct {
	// MilliVolts are what an input has: 4 to 7 are AIN0 to AIN3 against ground,
	// 0 to 3 the differences of table 8.
	MilliVolts func(input byte) float64

	registers [4]uint16
	pointer   byte
	ready     time.Time
}

// NewADS1115 returns a chip that has just been powered.
func NewADS1115(milliVolts func(input byte) float64) *ADS1115 {
	return &ADS1115{MilliVolts: milliVolts, registers: [4]uint16{0, 0x8583, 0x8000, 0x7fff}}
}

const (
	ads1115Start      = 0x8000 // written: convert; read: idle
	ads1115SingleShot = 0x0100
)

// Tx implements Chip.
func (c *ADS1115) Tx(w, r []byte) error {
	if len(w) > 0 {
		c.pointer = w[0] & 3
	}
	if len(w) > 2 && c.pointer > 0 {
		c.write(binary.BigEndian.Uint16(w[1:]))
	}
	c.settle()
	for i := range r { // reading on goes round within the register
		r[i] = byte(c.registers[c.pointer] >> (8 * (1 - i&1)))
	}
	return nil
}

func (c *ADS1115) write(value uint16) {
	c.registers[c.pointer] = value
	if c.pointer == 1 && (value&ads1115Start != 0 || value&ads1115SingleShot == 0) {
		rates := [...]int{8, 16, 32, 64, 128, 250, 475, 860}
		c.ready = time.Now().Add(time.Second / time.Duration(rates[value>>5&7]))
	}
}

// settle ends a conversion whose time is over. Until then the old result is
// still there, which a driver that comes too early takes for the new one.
func (c *ADS1115) settle() {
	config := c.registers[1] &^ ads1115Start
	if !time.Now().Before(c.ready) {
		config |= ads1115Start
		if !c.ready.IsZero() {
			fullScale := [...]float64{6144, 4096, 2048, 1024, 512, 256, 256, 256}[config>>9&7]
			counts := c.MilliVolts(byte(config>>12&7)) / fullScale * 32768
			c.registers[0] = uint16(int16(max(-32768, min(32767, counts))))
		}
	}
	c.registers[1] = config
}
