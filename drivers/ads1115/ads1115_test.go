package ads1115

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/analog"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/gateway"
)

var plain = Config{Bus: "i2c-1", Address: 0x48, Rate: 860, Inputs: []Input{
	{Pins: "AIN0", Range: 4.096, Input: analog.Input{Divider: 1}},
	{Pins: "AIN1", Range: 2.048, Input: analog.Input{Divider: 11, Name: "battery"}},
	{Pins: "AIN2-AIN3", Range: 0.256, Input: analog.Input{Divider: 1, Shunt: 0.1}},
	{Pins: "AIN3", Range: 4.096, Input: analog.Input{Divider: 1, Shunt: 150, Name: "pressure", Scale: &analog.Scale{From: []float64{4, 20}, To: []float64{0, 10}, Unit: "Pa"}}},
}}

// milliVolts are what is at the inputs of the simulated chip: 12 mA at 3.
func milliVolts(input byte) float64 {
	return map[byte]float64{4: 1000, 5: 1100, 3: -20, 7: 1800}[input]
}

func on(b i2c.BusCloser) *bus.Set {
	return bus.New(bus.Options{Hardware: bus.Hardware{I2C: func(int) (i2c.BusCloser, error) { return b, nil }}})
}

func opened(t *testing.T, c Config, b i2c.BusCloser) *Dev {
	t.Helper()
	d, err := New(c, on(b))
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
		fmt.Fprintf(&b, "%s %.3f %s %s; ", r.Name, number, r.Unit, r.Quality)
	}
	return b.String()
}

func TestOnABadBus(t *testing.T) {
	drivertest.I2C(t, drivertest.I2CDriver{
		New: func(buses *bus.Set) (any, error) { return New(plain, buses) },
		Chips: func() map[uint16]i2csim.Chip {
			return map[uint16]i2csim.Chip{0x48: i2csim.NewADS1115(milliVolts)}
		},
		Strangers: func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{0x48: i2csim.Registers{2: 0x4b}} },
		Names:     []string{"LM75", "0x4b00", "ADS1115"},
	})
}

// TestBytes: what is said to the chip, and what it says, byte by byte.
func TestBytes(t *testing.T) {
	record, err := drivertest.ParseRecord(strings.NewReader(`
i2c-1 0x48 w 02 r 8000 1ms
i2c-1 0x48 w 01c3e3 r - 1ms
i2c-1 0x48 w 01 r 43e3 1ms
i2c-1 0x48 w 01 r c3e3 1ms
i2c-1 0x48 w 00 r 1f40 1ms
i2c-1 0x48 w 01d5e3 r - 1ms
i2c-1 0x48 w 01 r d5e3 1ms
i2c-1 0x48 w 00 r 7fff 1ms
`))
	if err != nil {
		t.Fatal(err)
	}
	replay := drivertest.NewReplay("i2c-1", record)
	c := plain
	c.Inputs = c.Inputs[:2]
	readings, err := opened(t, c, replay).Read(t.Context())
	want := "voltage.0 1.000 V ; battery 22.527 V bad; "
	if got := text(readings); got != want || !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), "beyond the range of 2.048 V") {
		t.Errorf("%s (%v), want %s", got, err, want)
	}
	if left := replay.Left(); left != nil {
		t.Errorf("not asked: %v", left)
	}
}

// slow is a chip whose clock is slow: it converts at 475 a second when told 860.
type slow struct{ *i2csim.ADS1115 }

func (s slow) Tx(w, r []byte) error {
	out := append([]byte(nil), w...)
	if len(out) == 3 && out[0] == regConfig {
		out[2] = out[2]&^0xe0 | 6<<5
	}
	err := s.ADS1115.Tx(out, r)
	if len(out) == 1 && out[0] == regConfig {
		r[1] |= 7 << 5
	}
	return err
}

// TestNoOldResult: the result of an input is never that of the one before.
func TestNoOldResult(t *testing.T) {
	want := "voltage.0 1.000 V ; battery 12.100 V ; current.2-3 -200.000 mA ; pressure 5.000 Pa good; "
	for name, chip := range map[string]i2csim.Chip{"": i2csim.NewADS1115(milliVolts), "slow": slow{i2csim.NewADS1115(milliVolts)}} {
		synctest.Test(t, func(t *testing.T) {
			d := opened(t, plain, i2csim.New(map[uint16]i2csim.Chip{0x48: chip}))
			for range 3 {
				if readings, err := d.Read(t.Context()); err != nil || text(readings) != want {
					t.Errorf("%s: %s (%v), want %s", name, text(readings), err, want)
				}
			}
		})
	}
}

// TestBrokenWire: the others are read all the same.
func TestBrokenWire(t *testing.T) {
	chip := i2csim.NewADS1115(func(input byte) float64 {
		if input == 7 {
			return 0
		}
		return milliVolts(input)
	})
	d := opened(t, plain, i2csim.New(map[uint16]i2csim.Chip{0x48: chip}))
	readings, err := d.Read(t.Context())
	drivertest.WantQuantities(t, plain.Quantities(), readings)
	if len(readings) != 4 || readings[3].Quality != gateway.Bad || readings[0].Quality != "" {
		t.Errorf("%s", text(readings))
	}
	if errors.Is(err, gateway.ErrUnavailable) || !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), "a wire is broken") {
		t.Error(err)
	}
}

func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := i2csim.New(map[uint16]i2csim.Chip{0x48: i2csim.NewADS1115(milliVolts)})
		d := opened(t, plain, b)
		asked := 0
		b.Fault(func(uint16, []byte, []byte) error {
			if asked++; asked == 2 {
				b.Plug(0x48, i2csim.NewADS1115(milliVolts)) // it has lost its power
			}
			return nil
		})
		if _, err := d.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "lost its setting") {
			t.Errorf("a loss of power: %v", err)
		}
		b.Fault(nil)
		b.Noise(func(_ uint16, r []byte) { r[0] = 0x43 }) // never done
		if _, err := d.Read(t.Context()); !errors.Is(err, gateway.ErrTimeout) {
			t.Errorf("a conversion that does not end: %v", err)
		}
		b.Noise(nil)
		b.Fault(func(uint16, []byte, []byte) error { return syscall.EREMOTEIO })
		if _, err := d.Read(t.Context()); !errors.Is(err, bus.ErrNoAnswer) {
			t.Errorf("unplugged: %v", err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if _, err := d.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("after Close: %v", err)
		}
		b.Fault(nil)
		b.Noise(func(_ uint16, r []byte) { copy(r, []byte{0x4b, 0}) })
		if err := d.Open(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "LM75 or TMP102") {
			t.Errorf("an LM75: %v", err)
		}
	})
}

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(c *Config){
		"rate: is 100; want one of [8 16 32 64 128 250 475 860]": func(c *Config) { c.Rate = 100 },
		"inputs: is empty": func(c *Config) { c.Inputs = nil },
		"inputs[0].range: is 5; want one of [0.256 0.512":  func(c *Config) { c.Inputs[0].Range = 5 },
		"inputs[0].pins: is \"0-2\"":                       func(c *Config) { c.Inputs[0].Pins = "0-2" },
		"inputs[1].name: voltage.0 is the name of another": func(c *Config) { c.Inputs[1].Name = "voltage.0" },
		"inputs[3].range: is 2.048 V, but 21 mA":           func(c *Config) { c.Inputs[3].Range = 2.048 },
		"inputs[3].scale.to: is [1]":                       func(c *Config) { c.Inputs[3].Scale = &analog.Scale{From: []float64{4, 20}, To: []float64{1}} },
	} {
		c := plain
		c.Inputs = append([]Input(nil), plain.Inputs...)
		change(&c)
		if _, err := New(c, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// FuzzReading: a value that counts as good is within the range.
func FuzzReading(f *testing.F) {
	f.Add(int16(0), 1)
	f.Add(int16(-32768), 0)
	f.Add(int16(32767), 3)
	f.Fuzz(func(t *testing.T, counts int16, n int) {
		in := plain.Inputs[uint(n)%uint(len(plain.Inputs))]
		r, err := in.reading(counts)
		v, _ := r.Value.Number()
		most := map[string]float64{"voltage.0": 4.096, "battery": 22.528, "current.2-3": 2560, "pressure": 10.7}[r.Name]
		if r.Quality != gateway.Bad && (err != nil || v < -most || v > most) {
			t.Errorf("%d: %v (%v)", counts, r, err)
		}
	})
}
