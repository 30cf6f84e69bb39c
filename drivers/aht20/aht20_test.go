package aht20

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/gateway"
)

func TestOnABadBus(t *testing.T) {
	drivertest.I2C(t, drivertest.I2CDriver{
		New:       func(buses *bus.Set) (any, error) { return New(Config{Bus: "i2c-1"}, buses) },
		Chips:     func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{0x38: i2csim.NewAHT20()} },
		Strangers: func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{0x38: i2csim.Registers{}} },
		Names:     []string{"whether it is an AHT20"},
		Checksums: true,
	})
}

// record is one opening and one read. The values are 25.00 °C and 50.00 %RH.
const record = `
i2c-1 0x38 w 71 r 10 300µs
i2c-1 0x38 w be0800 r - 400µs
i2c-1 0x38 w ac3300 r - 400µs
i2c-1 0x38 w - r 18800006000023 800µs
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
		if math.Abs(temperature-25) > 0.001 || math.Abs(humidity-50) > 0.001 {
			t.Errorf("%v, want 25 Cel and 50 %%RH", readings)
		}
		if left := replay.Left(); len(left) != 0 {
			t.Errorf("not asked: %v", left)
		}
	})
}

// on opens a device with a chip at 0x38.
func on(t *testing.T, hardware i2c.BusCloser) *Dev {
	buses := bus.New(bus.Options{Hardware: bus.Hardware{I2C: func(int) (i2c.BusCloser, error) { return hardware, nil }}})
	t.Cleanup(func() { _ = buses.Close() })
	dev, err := New(Config{Bus: "i2c-1"}, buses)
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dev
}

func TestFalseValues(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*i2csim.AHT20)
		is    error
		says  string
	}{
		{"too cold", func(c *i2csim.AHT20) { c.Temperature = 0 }, gateway.ErrInvalid, "temperature -50.00 Cel is beyond"},
		{"too hot", func(c *i2csim.AHT20) { c.Temperature = 1<<20 - 1 }, gateway.ErrInvalid, "beyond what the chip measures, -40 to 85"},
		{"slow", func(c *i2csim.AHT20) { c.Lasts = time.Second }, gateway.ErrTimeout, "still measures after 150ms"},
		{"reset", func(c *i2csim.AHT20) { _ = c.Tx([]byte{0xba}, nil) }, gateway.ErrUnavailable, "has it lost its power?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				chip := i2csim.NewAHT20()
				dev := on(t, i2csim.New(map[uint16]i2csim.Chip{0x38: chip}))
				c.spoil(chip)
				readings, err := dev.Read(t.Context())
				if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v (%v), want %q", readings, err, c.says)
				}
			})
		})
	}
}
