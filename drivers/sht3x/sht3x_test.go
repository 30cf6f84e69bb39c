package sht3x

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/gateway"
)

func TestOnABadBus(t *testing.T) {
	drivertest.I2C(t, drivertest.I2CDriver{
		New:       func(buses *bus.Set) (any, error) { return New(Config{Bus: "i2c-1", Address: 0x44}, buses) },
		Chips:     func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{0x44: i2csim.NewSHT3x()} },
		Strangers: func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{0x44: i2csim.NewSHT4x()} },
		Names:     []string{"SHT4x answers", "want SHT3x"},
		Checksums: true,
	})
}

// record is one opening and one read. The values are 25.00 °C and 50.00 %RH.
const record = `
i2c-1 0x44 w f32d r - 300µs
i2c-1 0x44 w - r 8010e1 400µs
i2c-1 0x44 w 3093 r - 300µs
i2c-1 0x44 w 30a2 r - 300µs
i2c-1 0x44 w 2400 r - 300µs
i2c-1 0x44 w - r 6666938000a2 700µs
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
		temperature, _ := readings[0].Value.Number()
		humidity, _ := readings[1].Value.Number()
		if math.Abs(temperature-25) > 0.002 || math.Abs(humidity-50) > 0.002 {
			t.Errorf("%v, want 25 Cel and 50 %%RH", readings)
		}
		if left := replay.Left(); len(left) != 0 {
			t.Errorf("not asked: %v", left)
		}
	})
}

// on opens a device with a chip at 0x44.
func on(t *testing.T, hardware i2c.BusCloser) *Dev {
	buses := bus.New(bus.Options{Hardware: bus.Hardware{I2C: func(int) (i2c.BusCloser, error) { return hardware, nil }}})
	t.Cleanup(func() { _ = buses.Close() })
	dev, err := New(Config{Bus: "i2c-1", Address: 0x44}, buses)
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dev
}

// TestMeasuringByItself: another program has left the chip so, and it takes no
// other command then.
func TestMeasuringByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip := i2csim.NewSHT3x()
		chip.Periodic = true
		if readings, err := on(t, i2csim.New(map[uint16]i2csim.Chip{0x44: chip})).Read(t.Context()); err != nil {
			t.Errorf("%v (%v)", readings, err)
		}
	})
}

func TestRange(t *testing.T) {
	for raw, ok := range map[uint16]bool{0: false, 1800: false, 1900: true, 63600: true, 63700: false, 0xffff: false} {
		synctest.Test(t, func(t *testing.T) {
			chip := i2csim.NewSHT3x()
			chip.Temperature = raw
			readings, err := on(t, i2csim.New(map[uint16]i2csim.Chip{0x44: chip})).Read(t.Context())
			if ok != (err == nil) || !ok && !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("%d: %v (%v)", raw, readings, err)
			}
		})
	}
}

// FuzzReadings: whatever comes, a value is within the range of the chip.
func FuzzReadings(f *testing.F) {
	f.Add(uint16(0x6666), uint16(0x8000))
	f.Add(uint16(0xffff), uint16(0xffff))
	f.Add(uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, rawTemperature, rawHumidity uint16) {
		readings, err := readings(rawTemperature, rawHumidity)
		if err != nil {
			return
		}
		temperature, _ := readings[0].Value.Number()
		humidity, _ := readings[1].Value.Number()
		if temperature < -40 || temperature > 125 || humidity < 0 || humidity > 100 {
			t.Errorf("%#04x %#04x: %v", rawTemperature, rawHumidity, readings)
		}
	})
}
