package i2csim

import (
	"encoding/binary"
	"time"
)

// TMP102 is TI's thermometer (SBOS397H): a pointer, registers of 16 bits. It
// measures four times a second unless it is shut down, then once when asked to.
type TMP102 struct {
	Celsius float64

	pointer     byte
	config      uint16
	temperature uint16
	measuring   bool
	ready       time.Time
}

const (
	tmp102Shutdown = 0x0100
	tmp102OneShot  = 0x8000
	tmp102Takes    = 35 * time.Millisecond // at most
)

// NewTMP102 returns a chip that has just been powered: 0 °C until it has measured.
func NewTMP102() *TMP102 {
	return &TMP102{Celsius: 21.5, config: 0x60a0, measuring: true, ready: time.Now().Add(tmp102Takes)}
}

// Tx implements Chip.
func (c *TMP102) Tx(w, r []byte) error {
	c.settle()
	if len(w) > 0 {
		c.pointer = w[0] & 3
	}
	if len(w) == 3 && c.pointer == 1 {
		c.config = binary.BigEndian.Uint16(w[1:])&0x1fd0 | 0x6020
		if binary.BigEndian.Uint16(w[1:])&tmp102OneShot != 0 && c.config&tmp102Shutdown != 0 {
			c.measuring, c.ready = true, time.Now().Add(tmp102Takes)
		}
	}
	registers := [4]uint16{c.temperature, c.config, 0x4b00, 0x5000}
	if c.config&tmp102Shutdown != 0 && !c.measuring {
		registers[1] |= tmp102OneShot
	}
	answerWord(r, registers[c.pointer])
	return nil
}

func (c *TMP102) settle() {
	if c.measuring && !time.Now().Before(c.ready) {
		c.temperature = uint16(int16(c.Celsius*16)) << 4
		c.measuring = c.config&tmp102Shutdown == 0
	}
}

// answerWord goes round within a register.
func answerWord(r []byte, value uint16) {
	for i := range r {
		r[i] = byte(value >> (8 * (1 - i&1)))
	}
}

// MCP9808 is Microchip's thermometer (DS25095A): a pointer, registers of 16 bits.
// It measures four times a second.
type MCP9808 struct {
	Celsius float64

	pointer byte
	config  uint16
	first   time.Time // the end of the first measurement
}

// NewMCP9808 returns a chip that has just been powered: 0 °C until it has measured.
func NewMCP9808() *MCP9808 {
	return &MCP9808{Celsius: 21.5, first: time.Now().Add(250 * time.Millisecond)}
}

// Tx implements Chip.
func (c *MCP9808) Tx(w, r []byte) error {
	if len(w) > 0 {
		c.pointer = w[0] & 0x0f
	}
	if len(w) == 3 && c.pointer == 1 {
		c.config = binary.BigEndian.Uint16(w[1:])
	}
	var value uint16
	switch c.pointer {
	case 1:
		value = c.config
	case 5:
		if !time.Now().Before(c.first) {
			value = uint16(int16(c.Celsius*16))&0x1fff | 0xc000 // and flags of alerts
		}
	case 6:
		value = 0x0054
	case 7:
		value = 0x0400
	}
	answerWord(r, value)
	return nil
}
