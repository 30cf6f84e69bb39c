package ina219

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/gateway"
)

// chip is an INA219: a measurement takes its time, and until then the result of
// the one before is there.
type chip struct {
	shunt, volts float64
	registers    [6]uint16
	pointer      byte
	ready        time.Time
	busy         bool
}

func newChip(shunt, volts float64) *chip {
	return &chip{shunt: shunt, volts: volts, registers: [6]uint16{afterReset}}
}

func (c *chip) Tx(w, r []byte) error {
	if len(w) > 0 {
		c.pointer = min(w[0], 5)
	}
	if len(w) == 3 && c.pointer == 0 {
		c.write(binary.BigEndian.Uint16(w[1:]))
	}
	if c.busy && !time.Now().Before(c.ready) {
		c.busy = false
		full := gains[c.registers[0]>>11&3] / 10e-6
		c.registers[1] = uint16(int16(max(-full, min(full, math.Round(c.shunt/10e-6)))))
		c.registers[2] = uint16(math.Round(c.volts/4e-3))<<3 | ready
	}
	for i := range r {
		r[i] = byte(c.registers[c.pointer] >> (8 * (1 - i&1)))
	}
	return nil
}

func (c *chip) write(v uint16) {
	if v&reset != 0 {
		*c = *newChip(c.shunt, c.volts)
		return
	}
	c.registers[0] = v
	c.registers[2] &^= ready
	c.busy = true
	c.ready = time.Now().Add(2 * 532 * time.Microsecond << (v >> 3 & 7))
}

var plain = Config{Bus: "i2c-1", Address: 0x40, Shunt: 0.1, Most: 3.2, Samples: 16}

func opened(t *testing.T, c Config, hardware bus.Hardware) *Dev {
	t.Helper()
	d, err := New(c, bus.New(bus.Options{Hardware: hardware}))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func text(readings []gateway.Reading) string {
	var b strings.Builder
	for _, r := range readings {
		number, _ := r.Value.Number()
		fmt.Fprintf(&b, "%s %.4f %s %s; ", r.Name, number, r.Unit, r.Quality)
	}
	return b.String()
}

func TestOnABadBus(t *testing.T) {
	drivertest.I2C(t, drivertest.I2CDriver{
		New:       func(buses *bus.Set) (any, error) { return New(plain, buses) },
		Chips:     func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{0x40: newChip(0.02, 12)} },
		Strangers: func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{0x40: i2csim.Registers{0: 0x11, 1: 0x04}} },
		Names:     []string{"0x1104", "INA219"},
	})
}

// TestBytes has the example of the data sheet, section 8.5.1: 20 mV at 2 mOhm are
// 10 A, at 11.98 V.
func TestBytes(t *testing.T) {
	record, err := drivertest.ParseRecord(strings.NewReader(`
i2c-1 0x40 w 00 r 2007 1ms
i2c-1 0x40 w 008000 r - 1ms
i2c-1 0x40 w 00 r 399f 1ms
i2c-1 0x40 w 002443 r - 1ms
i2c-1 0x40 w 02 r 5d90 1ms
i2c-1 0x40 w 02 r 5d9a 1ms
i2c-1 0x40 w 01 r 07d0 1ms
i2c-1 0x40 w 00 r 2443 1ms
`))
	if err != nil {
		t.Fatal(err)
	}
	replay := drivertest.NewReplay("i2c-1", record)
	c := plain
	c.Shunt, c.Most, c.Samples = 0.002, 15, 1
	readings, err := opened(t, c, replay.Hardware()).Read(t.Context())
	drivertest.WantQuantities(t, c.Quantities(), readings)
	want := "voltage 11.9800 V ; current 10.0000 A ; power 119.8000 W ; "
	if got := text(readings); err != nil || got != want || replay.Left() != nil {
		t.Errorf("%s (%v), want %s; not asked %v", got, err, want, replay.Left())
	}
}

func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChip(-0.015, 12)
		d := opened(t, plain, i2csim.New(map[uint16]i2csim.Chip{0x40: c}).Hardware())
		if r, err := d.Read(t.Context()); err != nil || text(r) != "voltage 12.0000 V ; current -0.1500 A ; power -1.8000 W ; " {
			t.Errorf("backwards: %s (%v)", text(r), err)
		}
		for _, shunt := range []float64{0.5, -0.5} {
			c.shunt = shunt
			r, err := d.Read(t.Context())
			if !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), "3.2 A or more") || r[0].Quality != "" || r[1].Quality != gateway.Bad || r[2].Quality != gateway.Bad {
				t.Errorf("%v V at the shunt: %s (%v)", shunt, text(r), err)
			}
		}
	})
}

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		shunt, most float64
		samples     int
		want        uint16
	}{
		{0.1, 3.2, 1, 0x3c43}, {0.1, 3.2, 128, 0x3ffb}, {0.1, 0.4, 1, 0x2443}, {0.01, 16, 8, 0x35db},
	} {
		d, err := New(Config{Shunt: c.shunt, Most: c.most, Samples: c.samples}, nil)
		if err != nil || d.setting != c.want {
			t.Errorf("%+v: %#04x (%v)", c, d.setting, err)
		}
	}
	for want, c := range map[string]Config{
		"max_current: 3.3 A give 0.33 V": {Shunt: 0.1, Most: 3.3, Samples: 1},
		"samples: is 3":                  {Shunt: 0.1, Most: 3.2, Samples: 3},
		"samples: is 256":                {Shunt: 0.1, Most: 3.2, Samples: 256},
		"samples: is 0":                  {Shunt: 0.1, Most: 3.2},
	} {
		if _, err := New(c, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// FuzzReadings: a value that counts as good is within what can be measured.
func FuzzReadings(f *testing.F) {
	f.Add(uint16(0x5d98>>3), int16(0x7d0))
	f.Add(uint16(0x1fff), int16(-32768))
	f.Add(uint16(0), int16(32000))
	f.Fuzz(func(t *testing.T, voltage uint16, shunt int16) {
		readings, _ := (&Dev{config: plain}).readings(voltage&0x1fff, shunt)
		for _, r := range readings {
			most := map[string]float64{"voltage": 32.764, "current": 3.2, "power": 3.2 * 32.764}[r.Name]
			if v, _ := r.Value.Number(); r.Quality != gateway.Bad && math.Abs(v) > most {
				t.Errorf("%v", r)
			}
		}
	})
}
