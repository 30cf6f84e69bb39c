package mcp9808

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
		New:       func(buses *bus.Set) (any, error) { return New(Config{Bus: "i2c-1", Address: 0x18}, buses) },
		Chips:     func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{0x18: i2csim.NewMCP9808()} },
		Strangers: func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{0x18: i2csim.Registers{0x0f: 0x33}} },
		Names:     []string{"LIS3DH", "0x33", "MCP9808"},
	})
}

// record is one opening and one read: 25.25 °C with all three alerts.
const record = `
i2c-1 0x18 w 07 r 0400 300µs
i2c-1 0x18 w 06 r 0054 300µs
i2c-1 0x18 w 0803 r - 200µs
i2c-1 0x18 w 010200 r - 300µs
i2c-1 0x18 w 05 r e194 400µs
i2c-1 0x18 w 01 r 0200 400µs
`

func TestRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		replay := replayed(t, record)
		dev, err := on(t, replay)
		if err != nil {
			t.Fatal(err)
		}
		readings, err := dev.Read(t.Context())
		if err != nil || len(readings) != 1 || readings[0].Value != gateway.Number(25.25) {
			t.Errorf("%v (%v), want 25.25 Cel", readings, err)
		}
		if left := replay.Left(); len(left) != 0 {
			t.Errorf("not asked: %v", left)
		}
	})
}

// TestAnotherMaker: another chip can have the device id by chance.
func TestAnotherMaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		replay := replayed(t, "i2c-1 0x18 w 07 r 0400 300µs\ni2c-1 0x18 w 06 r 1131 300µs\n")
		_, err := on(t, replay)
		if !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "0x1131") || !strings.Contains(err.Error(), "MCP9808") {
			t.Error(err)
		}
	})
}

func replayed(t *testing.T, record string) *drivertest.Replay {
	transactions, err := drivertest.ParseRecord(strings.NewReader(record))
	if err != nil {
		t.Fatal(err)
	}
	return drivertest.NewReplay("i2c-1", transactions)
}

// on opens a device with a chip at 0x18.
func on(t *testing.T, hardware i2c.BusCloser) (*Dev, error) {
	buses := bus.New(bus.Options{Hardware: bus.Hardware{I2C: func(int) (i2c.BusCloser, error) { return hardware, nil }}})
	t.Cleanup(func() { _ = buses.Close() })
	dev, err := New(Config{Bus: "i2c-1", Address: 0x18}, buses)
	if err != nil {
		t.Fatal(err)
	}
	return dev, dev.Open(t.Context())
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		value, config uint16
		want          float64
		is            error
	}{
		{value: 0x07d0, config: settings, want: 125},
		{value: 0x07d1, config: settings, is: gateway.ErrInvalid},
		{value: 0xc190, config: settings, want: 25},
		{value: 0x0001, config: settings, want: 0.0625},
		{value: 0x0000, config: settings, want: 0},
		{value: 0x1fff, config: settings, want: -0.0625},
		{value: 0x3d80, config: settings, want: -40},
		{value: 0x1d7f, config: settings, is: gateway.ErrInvalid},
		{value: 0xc190, config: 0, is: gateway.ErrUnavailable},
		{value: 0xffff, config: 0xffff, is: gateway.ErrUnavailable},
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
