package bme280

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/devices/v3/bmxx80"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/gateway"
)

func driver(chip func() *i2csim.BMx280) drivertest.I2CDriver {
	return drivertest.I2CDriver{
		New:   func(buses *bus.Set) (any, error) { return New(Config{Bus: "i2c-1", Address: 0x76}, buses) },
		Chips: func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{0x76: chip()} },
		Strangers: func() map[uint16]i2csim.Chip {
			return map[uint16]i2csim.Chip{0x76: i2csim.Registers{0xd0: 0x61}}
		},
		Names: []string{"BME680", "0x61", "BME280", "BMP280"},
	}
}

func TestBME280OnABadBus(t *testing.T) { drivertest.I2C(t, driver(i2csim.NewBME280)) }
func TestBMP280OnABadBus(t *testing.T) { drivertest.I2C(t, driver(i2csim.NewBMP280)) }

// on opens a device with a chip at 0x76, in a bubble of synctest.
func on(t *testing.T, hardware i2c.BusCloser) *Dev {
	buses := bus.New(bus.Options{Hardware: bus.Hardware{I2C: func(int) (i2c.BusCloser, error) { return hardware, nil }}})
	t.Cleanup(func() {
		if err := buses.Close(); err != nil {
			t.Error(err)
		}
	})
	dev, err := New(Config{Bus: "i2c-1", Address: 0x76}, buses)
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dev
}

func numbers(readings []gateway.Reading) map[string]float64 {
	all := make(map[string]float64)
	for _, r := range readings {
		all[r.Name], _ = r.Value.Number()
	}
	return all
}

// record is one opening and one read of a BMP280 with the values of the worked
// example, section 3.12 of its data sheet: 25.08 °C and 100653.27 Pa.
const record = `
i2c-1 0x76 w d0 r 58 200µs
i2c-1 0x76 w d0 r 58 200µs
i2c-1 0x76 w 88 r 706b436718fc7d8e43d6d00b270b8c00f9ff8c3cf8c670170000 3ms
i2c-1 0x76 w 88 r 706b436718fc7d8e43d6d00b270b8c00f9ff8c3cf8c670170000 3ms
i2c-1 0x76 w f42cf201f5a0 r - 1ms
i2c-1 0x76 w f42d r - 400µs
i2c-1 0x76 w f2 r 00002ca000655ac07eed000000 2ms
`

func TestRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transactions, err := drivertest.ParseRecord(strings.NewReader(record))
		if err != nil {
			t.Fatal(err)
		}
		replay := drivertest.NewReplay("i2c-1", transactions)
		readings, err := on(t, replay).Read(t.Context())
		if err != nil || len(readings) != 2 {
			t.Fatalf("%v (%v)", readings, err)
		}
		got := numbers(readings)
		if math.Abs(got["temperature"]-25.08) > 0.005 || math.Abs(got["pressure"]-100653.27) > 0.01 {
			t.Errorf("%v, want 25.08 Cel and 100653.27 Pa", got)
		}
		if left := replay.Left(); len(left) != 0 {
			t.Errorf("not asked: %v", left)
		}
	})
}

// TestSameAsPeriph compares the floating point with periph's integers, whose
// steps are 0.01 °C, 1/256 Pa and 1/1024 %RH, over all that a chip can measure.
func TestSameAsPeriph(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip := i2csim.NewBME280()
		sim := i2csim.New(map[uint16]i2csim.Chip{0x76: chip})
		dev := on(t, sim)
		random := rand.New(rand.NewPCG(1, 2))
		compared := 0
		for range 3000 {
			chip.Temperature = 340000 + random.Uint32N(400000)
			chip.Pressure = 250000 + random.Uint32N(350000)
			chip.Humidity = uint16(15000 + random.Uint32N(30000))
			readings, err := dev.Read(t.Context())
			if err != nil {
				continue // beyond the range of the chip
			}
			compared++
			other, err := bmxx80.NewI2C(sim, 0x76, &bmxx80.Opts{Temperature: bmxx80.O1x, Pressure: bmxx80.O4x, Humidity: bmxx80.O1x})
			if err != nil {
				t.Fatal(err)
			}
			var want physic.Env
			if err := other.Sense(&want); err != nil {
				t.Fatal(err)
			}
			got := numbers(readings)
			pascal, percent := float64(want.Pressure)/float64(physic.Pascal), float64(want.Humidity)/float64(physic.PercentRH)
			if math.Abs(got["temperature"]-want.Temperature.Celsius()) > 0.011 || math.Abs(got["pressure"]-pascal) > 2 || math.Abs(got["humidity"]-percent) > 0.02 {
				t.Fatalf("%d %d %d: %v, periph has %v %v Pa %v %%RH", chip.Temperature, chip.Pressure, chip.Humidity, got, want.Temperature, pascal, percent)
			}
			if err := dev.Open(t.Context()); err != nil { // periph has left its own settings
				t.Fatal(err)
			}
		}
		if compared < 500 {
			t.Errorf("only %d were within the range of the chip", compared)
		}
	})
}

// TestFalseValues are those that a chip gives when something is wrong with it.
func TestFalseValues(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*i2csim.BMx280)
		says  string
		left  int // readings that come all the same
	}{
		{"no temperature", func(c *i2csim.BMx280) { c.Temperature = 0x80000 }, "no temperature", 0},
		{"too hot", func(c *i2csim.BMx280) { c.Temperature = 900000 }, "beyond what the chip measures, -40 to 85", 0},
		{"too cold", func(c *i2csim.BMx280) { c.Temperature = 100 }, "beyond what the chip measures, -40 to 85", 0},
		{"no pressure", func(c *i2csim.BMx280) { c.Pressure = 0x80000 }, "no pressure", 2},
		{"vacuum", func(c *i2csim.BMx280) { c.Pressure = 900000 }, "beyond what the chip measures, 30000 to 110000", 2},
		{"no humidity", func(c *i2csim.BMx280) { c.Humidity = 0x8000 }, "no humidity (0x8000)", 2},
		{"humidity at its limit", func(c *i2csim.BMx280) { c.Humidity = 0xffff }, "no humidity (0xffff)", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				chip := i2csim.NewBME280()
				c.spoil(chip)
				readings, err := on(t, i2csim.New(map[uint16]i2csim.Chip{0x76: chip})).Read(t.Context())
				if !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), c.says) || len(readings) != c.left {
					t.Errorf("%v (%v), want %d readings and %q", readings, err, c.left, c.says)
				}
			})
		})
	}
}

// TestHumidityHasBounds: the formula goes beyond them when the air is saturated.
func TestHumidityHasBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip := i2csim.NewBME280()
		dev := on(t, i2csim.New(map[uint16]i2csim.Chip{0x76: chip}))
		for raw, want := range map[uint16]float64{1000: 0, 60000: 100} {
			chip.Humidity = raw
			readings, err := dev.Read(t.Context())
			if got := numbers(readings)["humidity"]; err != nil || got != want {
				t.Errorf("%d: %v (%v), want %v", raw, got, err, want)
			}
		}
	})
}

// FuzzReadings: whatever the chip says, a value is within its range or an error.
func FuzzReadings(f *testing.F) {
	f.Add([]byte("\x70\x6b\x43\x67\x18\xfc\x7d\x8e\x43\xd6\xd0\x0b\x27\x0b\x8c\x00\xf9\xff\x8c\x3c\xf8\xc6\x70\x17\x00\x00"), []byte("\x72\x01\x00\x13\x29\x03\x1e"), []byte("\x65\x5a\xc0\x7e\xed\x00\x76\x49"))
	f.Fuzz(func(t *testing.T, low, high, values []byte) {
		var l [26]byte
		var h [7]byte
		copy(l[:], low)
		copy(h[:], high)
		calib, err := parseCalibration(l, h, true)
		if err != nil || len(values) < 8 {
			return
		}
		readings, _ := (&Dev{humid: true, calib: calib}).readings(values)
		for name, v := range numbers(readings) {
			limits := map[string][2]float64{"temperature": {-40, 85}, "pressure": {30000, 110000}, "humidity": {0, 100}}[name]
			if !(v >= limits[0] && v <= limits[1]) {
				t.Errorf("%s %v", name, v)
			}
		}
	})
}
