package tmp102

import (
	"errors"
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
		New:   func(buses *bus.Set) (any, error) { return New(Config{Bus: "i2c-1", Address: 0x48}, buses) },
		Chips: func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{0x48: i2csim.NewTMP102()} },
		// An LM75 has nothing set in its configuration.
		Strangers: func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{0x48: i2csim.Registers{0: 0x15}} },
		Names:     []string{"0x0000", "TMP102"},
	})
}

// record is one opening and one read: 25.00 °C is 0x1900, table 8.
const record = `
i2c-1 0x48 w 01 r 60a0 300µs
i2c-1 0x48 w 016180 r - 300µs
i2c-1 0x48 w 01e180 r - 300µs
i2c-1 0x48 w 00 r 1900 400µs
i2c-1 0x48 w 01 r e1a0 400µs
`

func TestRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transactions, err := drivertest.ParseRecord(strings.NewReader(record))
		if err != nil {
			t.Fatal(err)
		}
		replay := drivertest.NewReplay("i2c-1", transactions)
		readings, err := on(t, replay).Read(t.Context())
		if err != nil || len(readings) != 1 || readings[0].Value != gateway.Number(25) {
			t.Errorf("%v (%v), want 25 Cel", readings, err)
		}
		if left := replay.Left(); len(left) != 0 {
			t.Errorf("not asked: %v", left)
		}
	})
}

// on opens a device with a chip at 0x48.
func on(t *testing.T, hardware i2c.BusCloser) *Dev {
	buses := bus.New(bus.Options{Hardware: bus.Hardware{I2C: func(int) (i2c.BusCloser, error) { return hardware, nil }}})
	t.Cleanup(func() { _ = buses.Close() })
	dev, err := New(Config{Bus: "i2c-1", Address: 0x48}, buses)
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dev
}

// TestValues are those of table 8, and what lies beyond.
func TestValues(t *testing.T) {
	for _, c := range []struct {
		value, config uint16
		want          float64
		is            error
	}{
		{value: 0x7d00, config: 0xe180, want: 125},
		{value: 0x7d10, config: 0xe180, is: gateway.ErrInvalid},
		{value: 0x6400, config: 0xe1a0, want: 100},
		{value: 0x0040, config: 0xe1a0, want: 0.25},
		{value: 0x0000, config: 0xe1a0, want: 0},
		{value: 0xffc0, config: 0xe1a0, want: -0.25},
		{value: 0xe700, config: 0xe1a0, want: -25},
		{value: 0xd800, config: 0xe1a0, want: -40},
		{value: 0xd7f0, config: 0xe1a0, is: gateway.ErrInvalid},
		{value: 0xffff, config: 0xe1a0, is: gateway.ErrInvalid},
		{value: 0x1900, config: 0x61a0, is: gateway.ErrTimeout},
		{value: 0x0000, config: 0x60a0, is: gateway.ErrUnavailable},
		{value: 0x0c80, config: 0xe190, is: gateway.ErrUnavailable}, // 13 bits
	} {
		readings, err := reading(c.value, c.config)
		if c.is != nil {
			if !errors.Is(err, c.is) {
				t.Errorf("%#04x %#04x: %v (%v), want %v", c.value, c.config, readings, err, c.is)
			}
			continue
		}
		if err != nil || readings[0].Value != gateway.Number(c.want) {
			t.Errorf("%#04x: %v (%v), want %v", c.value, readings, err, c.want)
		}
	}
}

// FuzzReading: whatever comes, a value is within the range of the chip.
func FuzzReading(f *testing.F) {
	f.Add(uint16(0x1900), uint16(0xe1a0))
	f.Add(uint16(0xc190), uint16(0x0200))
	f.Add(uint16(0xffff), uint16(0xffff))
	f.Fuzz(func(t *testing.T, value, config uint16) {
		readings, err := reading(value, config)
		if err != nil {
			return
		}
		if temperature, _ := readings[0].Value.Number(); temperature < -40 || temperature > 125 {
			t.Errorf("%#04x %#04x: %v", value, config, readings)
		}
	})
}
