package bh1750

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
		New:   func(buses *bus.Set) (any, error) { return New(Config{Bus: "i2c-1", Address: 0x23}, buses) },
		Chips: func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{0x23: i2csim.NewBH1750()} },
		Unnoticed: map[string]string{
			"zeros": "darkness is 0, too",
			"short": "the chip has no checksum, and each value can be true",
		},
	})
}

// record is one opening and one read, of the example of the technical note: 0x8390
// is 28067 lx.
const record = `
i2c-1 0x23 w 00 r - 200µs
i2c-1 0x23 w 01 r - 200µs
i2c-1 0x23 w 42 r - 200µs
i2c-1 0x23 w 65 r - 200µs
i2c-1 0x23 w 20 r - 200µs
i2c-1 0x23 w - r 8390 300µs
`

func TestRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transactions, err := drivertest.ParseRecord(strings.NewReader(record))
		if err != nil {
			t.Fatal(err)
		}
		replay := drivertest.NewReplay("i2c-1", transactions)
		if got, err := read(t, on(t, replay)); err != nil || math.Abs(got-28067) > 1 {
			t.Errorf("%v (%v), want 28067 lx", got, err)
		}
		if left := replay.Left(); len(left) != 0 {
			t.Errorf("not asked: %v", left)
		}
	})
}

// on opens a device with a chip at 0x23.
func on(t *testing.T, hardware i2c.BusCloser) *Dev {
	buses := bus.New(bus.Options{Hardware: bus.Hardware{I2C: func(int) (i2c.BusCloser, error) { return hardware, nil }}})
	t.Cleanup(func() { _ = buses.Close() })
	dev, err := New(Config{Bus: "i2c-1", Address: 0x23}, buses)
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dev
}

func read(t *testing.T, dev *Dev) (float64, error) {
	readings, err := dev.Read(t.Context())
	if err != nil {
		return 0, err
	}
	lux, _ := readings[0].Value.Number()
	return lux, nil
}

func TestDarkToBright(t *testing.T) {
	for _, want := range []float64{0, 1, 40, 500, 54000, 60000, 100000, 120000} {
		synctest.Test(t, func(t *testing.T) {
			chip := i2csim.NewBH1750()
			chip.Lux = want
			got, err := read(t, on(t, i2csim.New(map[uint16]i2csim.Chip{0x23: chip})))
			if err != nil || math.Abs(got-want) > 2 {
				t.Errorf("%v lx are %v (%v)", want, got, err)
			}
		})
	}
}

func TestTooBright(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip := i2csim.NewBH1750()
		chip.Lux = 150000
		got, err := read(t, on(t, i2csim.New(map[uint16]i2csim.Chip{0x23: chip})))
		if !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), "brighter than") {
			t.Errorf("%v (%v)", got, err)
		}
	})
}

func TestAddresses(t *testing.T) {
	for address, ok := range map[uint16]bool{0x23: true, 0x5c: true, 0x24: false, 0: false} {
		if _, err := New(Config{Bus: "i2c-1", Address: address}, nil); (err == nil) != ok {
			t.Errorf("%#02x: %v", address, err)
		}
	}
}
