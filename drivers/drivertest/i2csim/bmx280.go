package i2csim

import (
	"encoding/binary"
	"time"
)

// BMx280 is Bosch's BME280 or BMP280 (BST-BME280-DS002-15 and
// BST-BMP280-DS001-11). Temperature, pressure and humidity are as its converters
// give them; the calibration is that of the BMP280's worked example, section
// 3.12, so that 519888 and 415148 are 25.08 °C and 100653 Pa.
type BMx280 struct {
	Temperature, Pressure uint32 // 20 bits
	Humidity              uint16

	humid     bool // it is a BME280
	registers [256]byte
	pointer   byte
	measuring bool
	ready     time.Time
	// humidity is the oversampling in force: what is written to 0xF2 counts
	// from the next write of 0xF4.
	humidity byte
}

// NewBME280 returns a BME280 that has just been powered.
func NewBME280() *BMx280 { return newBMx280(0x60, true) }

// NewBMP280 returns a BMP280 that has just been powered.
func NewBMP280() *BMx280 { return newBMx280(0x58, false) }

func newBMx280(id byte, humid bool) *BMx280 {
	c := &BMx280{Temperature: 519888, Pressure: 415148, Humidity: 30281, humid: humid}
	c.registers[0xd0] = id
	for i, v := range []int{27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000} {
		binary.LittleEndian.PutUint16(c.registers[0x88+2*i:], uint16(v))
	}
	if humid { // dig_H1 75, dig_H2 370, dig_H3 0, dig_H4 313, dig_H5 50, dig_H6 30
		c.registers[0xa1] = 75
		copy(c.registers[0xe1:], []byte{0x72, 0x01, 0x00, 313 >> 4, 313&0xf | 50&0xf<<4, 50 >> 4, 30})
	}
	c.reset()
	return c
}

func (c *BMx280) reset() {
	c.measuring, c.humidity = false, 0
	copy(c.registers[0xf2:], make([]byte, 13))
	c.store(0x80000, 0x80000, 0x8000)
}

// store fills the data registers; 0x80000 and 0x8000 are values that were not
// measured.
func (c *BMx280) store(pressure, temperature, humidity uint32) {
	p, t := pressure<<4, temperature<<4
	copy(c.registers[0xf7:], []byte{byte(p >> 16), byte(p >> 8), byte(p), byte(t >> 16), byte(t >> 8), byte(t)})
	if c.humid {
		copy(c.registers[0xfd:], []byte{byte(humidity >> 8), byte(humidity)})
	}
}

// Tx implements Chip. Writes are pairs of register and value; reads go up from
// the register that was written last.
func (c *BMx280) Tx(w, r []byte) error {
	c.settle() // what is over by now is not lost by a new order
	if len(w) > 0 {
		c.pointer = w[0]
	}
	for i := 0; i+1 < len(w); i += 2 {
		c.write(w[i], w[i+1])
	}
	c.settle()
	for i := range r {
		r[i] = c.registers[c.pointer]
		c.pointer++
	}
	return nil
}

func (c *BMx280) write(register, value byte) {
	switch {
	case register == 0xe0 && value == 0xb6:
		c.reset()
	case register == 0xf2 && c.humid, register == 0xf5:
		c.registers[register] = value
	case register == 0xf4:
		c.registers[register] = value
		c.humidity = c.registers[0xf2] & 7
		if value&3 != 0 {
			c.measuring = true
			c.ready = time.Now().Add(c.takes())
		}
	}
}

// takes is the longest time that a measurement needs: section 9.1 of the BME280.
func (c *BMx280) takes() time.Duration {
	d := 1250 * time.Microsecond
	for i, oversampling := range []byte{c.registers[0xf4] >> 5, c.registers[0xf4] >> 2 & 7, c.humidity} {
		if oversampling == 0 {
			continue
		}
		d += 2300 * time.Microsecond << (min(oversampling, 5) - 1)
		if i > 0 { // more for pressure and humidity than for temperature
			d += 575 * time.Microsecond
		}
	}
	return d
}

// settle ends a measurement whose time is over.
func (c *BMx280) settle() {
	if !c.measuring {
		return
	}
	if time.Now().Before(c.ready) {
		c.registers[0xf3] = 8
		return
	}
	c.registers[0xf3] = 0
	pressure, temperature, humidity := uint32(0x80000), uint32(0x80000), uint32(0x8000)
	if c.registers[0xf4]>>5 != 0 {
		temperature = c.Temperature
	}
	if c.registers[0xf4]>>2&7 != 0 {
		pressure = c.Pressure
	}
	if c.humidity != 0 {
		humidity = uint32(c.Humidity)
	}
	c.store(pressure, temperature, humidity)
	if c.registers[0xf4]&3 != 3 { // forced mode falls back to sleep
		c.registers[0xf4] &^= 3
		c.measuring = false
	}
}
