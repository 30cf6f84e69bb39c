package i2csim

import "time"

// AHT20 is Aosong's thermometer and hygrometer (AHT20 product manual, version
// 1.1). After power-up it is not calibrated until it is told to.
type AHT20 struct {
	Temperature, Humidity uint32 // 20 bits
	// Lasts is how long a measurement takes; 80 ms if it is 0.
	Lasts time.Duration

	calibrated bool
	measuring  bool
	ready      time.Time
	data       [6]byte
}

// NewAHT20 returns a chip that has just been powered, at 25.00 °C and 50.0 %RH.
func NewAHT20() *AHT20 { return &AHT20{Temperature: 75 << 20 / 200, Humidity: 1 << 19} }

// Tx implements Chip.
func (c *AHT20) Tx(w, r []byte) error {
	switch string(w) {
	case "\xbe\x08\x00":
		c.calibrated = true
	case "\xba":
		*c = AHT20{Temperature: c.Temperature, Humidity: c.Humidity}
	case "\xac\x33\x00":
		lasts := c.Lasts
		if lasts == 0 {
			lasts = 80 * time.Millisecond
		}
		c.measuring, c.ready = true, time.Now().Add(lasts)
	}
	c.settle()
	fill(r)
	copy(r, append(c.data[:], crc8(c.data[:])))
	return nil
}

func (c *AHT20) settle() {
	c.data[0] = 0x10
	if c.calibrated {
		c.data[0] |= 0x08
	}
	if c.measuring && time.Now().Before(c.ready) {
		c.data[0] |= 0x80
		return
	}
	if c.measuring {
		c.measuring = false
		both := uint64(c.Humidity)<<20 | uint64(c.Temperature)
		for i := range 5 {
			c.data[5-i] = byte(both >> (8 * i))
		}
	}
}
