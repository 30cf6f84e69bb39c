package i2csim

import "time"

// BH1750 is ROHM's light sensor BH1750FVI (technical note 2011.11, revision D). It
// has commands and one value, which is 0 until something was measured.
type BH1750 struct {
	// Lux is the light; the chip saturates when it is too bright.
	Lux float64

	time  byte // of measurement, MTreg
	begun bool
	ready time.Time
	value uint16
}

// NewBH1750 returns a chip that has just been powered.
func NewBH1750() *BH1750 { return &BH1750{Lux: 320, time: 69} }

// Tx implements Chip.
func (c *BH1750) Tx(w, r []byte) error {
	for _, command := range w {
		switch {
		case command == 0x20: // once, high resolution: 180 ms at most
			c.begun = true
			c.ready = time.Now().Add(180 * time.Millisecond * time.Duration(c.time) / 69)
		case command>>3 == 0x08:
			c.time = c.time&0x1f | command<<5
		case command>>5 == 0x03:
			c.time = c.time&0xe0 | command&0x1f
		}
	}
	if c.begun && !time.Now().Before(c.ready) {
		c.begun = false
		c.value = uint16(min(c.Lux*1.2*float64(c.time)/69, 0xffff))
	}
	fill(r)
	copy(r, []byte{byte(c.value >> 8), byte(c.value)})
	return nil
}
