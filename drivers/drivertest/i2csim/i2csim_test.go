package i2csim

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/devices/v3/ads1x15"
	"periph.io/x/devices/v3/aht20"
	"periph.io/x/devices/v3/bmxx80"
	"periph.io/x/devices/v3/mcp23xxx"
	"periph.io/x/devices/v3/mcp9808"
	"periph.io/x/devices/v3/tmp102"
)

// TestPeriphReadsBMx280 holds the chip against the worked example.
func TestPeriphReadsBMx280(t *testing.T) {
	for name, chip := range map[string]*BMx280{"BMP280": NewBMP280(), "BME280": NewBME280()} {
		synctest.Test(t, func(t *testing.T) {
			dev, err := bmxx80.NewI2C(New(map[uint16]Chip{0x76: chip}), 0x76, &bmxx80.DefaultOpts)
			if err != nil {
				t.Fatal(err)
			}
			var e physic.Env
			if err := dev.Sense(&e); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(dev.String(), name) {
				t.Errorf("%s is taken for %v", name, dev)
			}
			if got := e.Temperature.Celsius(); got < 25.079 || got > 25.081 {
				t.Errorf("%s: %v °C, want 25.08", name, got)
			}
			if got := float64(e.Pressure) / float64(physic.Pascal); got < 100652 || got > 100654 {
				t.Errorf("%s: %v Pa, want 100653", name, got)
			}
			if humid := e.Humidity > 0; humid != (name == "BME280") {
				t.Errorf("%s: humidity %v", name, e.Humidity)
			}
		})
	}
}

// TestBMx280TakesItsTime: before that it has the old values, and says so.
func TestBMx280TakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewBME280()
		read := func() []byte {
			r := make([]byte, 13)
			if err := c.Tx([]byte{0xf2}, r); err != nil {
				t.Fatal(err)
			}
			return r
		}
		if err := c.Tx([]byte{0xf2, 1, 0xf4, 0x25}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(c.takes() - 1)
		if r := read(); r[1] != 8 || r[5] != 0x80 || r[2] != 0x25 {
			t.Errorf("while it measures: % x", r)
		}
		time.Sleep(time.Nanosecond)
		if r := read(); r[1] != 0 || r[5] == 0x80 || r[2] != 0x24 || r[11] == 0x80 {
			t.Errorf("when it has measured: % x", r)
		}
	})
}

// TestBMx280KeepsWhatItHasMeasured when it is set up again while it runs freely,
// as the kernel's driver does before each read.
func TestBMx280KeepsWhatItHasMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewBMP280()
		setUp := []byte{0xf4, 0x57}
		if err := c.Tx(setUp, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(c.takes())
		r := make([]byte, 3)
		if err := errors.Join(c.Tx(setUp, nil), c.Tx([]byte{0xfa}, r)); err != nil {
			t.Fatal(err)
		}
		if r[0] == 0x80 {
			t.Errorf("the temperature was forgotten: % x", r)
		}
	})
}

func TestPeriphReadsADS1115(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip := NewADS1115(func(input byte) float64 { return float64(input) * 100 })
		dev, err := ads1x15.NewADS1115(New(map[uint16]Chip{0x48: chip}), &ads1x15.DefaultOpts)
		if err != nil {
			t.Fatal(err)
		}
		pin, err := dev.PinForChannel(ads1x15.Channel2, physic.Volt, 100*physic.Hertz, ads1x15.SaveEnergy)
		if err != nil {
			t.Fatal(err)
		}
		got, err := pin.Read()
		if err != nil || got.V < 599*physic.MilliVolt || got.V > 601*physic.MilliVolt {
			t.Errorf("%v (%v), want 600 mV", got.V, err)
		}
	})
}

func TestPeriphMovesMCP23017(t *testing.T) {
	chip := NewMCP23017()
	dev, err := mcp23xxx.NewI2C(New(map[uint16]Chip{0x20: chip}), mcp23xxx.MCP23017, 0x20)
	if err != nil {
		t.Fatal(err)
	}
	chip.In = 1 << 3
	if err := dev.Pins[0][3].In(gpio.Float, gpio.NoEdge); err != nil {
		t.Error(err)
	}
	if dev.Pins[0][3].Read() != gpio.High || dev.Pins[0][4].Read() != gpio.Low {
		t.Error("GPA3 is high outside, GPA4 is low")
	}
	if err := dev.Pins[1][0].Out(gpio.High); err != nil || chip.Out() != 0x100 {
		t.Errorf("GPB0 is set to high: latches %#x (%v)", chip.Out(), err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	b := New(map[uint16]Chip{0x76: NewBMP280()})
	if err := b.Tx(0x77, []byte{0xd0}, make([]byte, 1)); err == nil || err.Error() != "sysfs-i2c: remote I/O error" {
		t.Errorf("an address without chip: %v", err)
	}
	b.Unplug(0x76)
	if err := b.Tx(0x76, []byte{0xd0}, make([]byte, 1)); err == nil {
		t.Error("a chip that was unplugged answers")
	}
}

// TestPeriphReadsTheOthers: periph's drivers agree with the chips.
func TestPeriphReadsTheOthers(t *testing.T) {
	sense := func(dev interface{ Sense(*physic.Env) error }, err error) (physic.Env, error) {
		if err != nil {
			return physic.Env{}, err
		}
		time.Sleep(300 * time.Millisecond) // some have not measured yet
		var e physic.Env
		return e, dev.Sense(&e)
	}
	for name, c := range map[string]struct {
		chip     func() Chip
		read     func(b *Bus) (physic.Env, error)
		celsius  float64
		humidity float64
	}{
		"AHT20": {
			chip:    func() Chip { return NewAHT20() },
			read:    func(b *Bus) (physic.Env, error) { return sense(aht20.NewI2C(b, nil)) },
			celsius: 25, humidity: 50,
		},
		"TMP102": {
			chip:    func() Chip { return NewTMP102() },
			read:    func(b *Bus) (physic.Env, error) { return sense(tmp102.NewI2C(b, 0x38, nil)) },
			celsius: 21.5,
		},
		"MCP9808": {
			chip: func() Chip { c := NewMCP9808(); c.Celsius = -3.5; return c },
			read: func(b *Bus) (physic.Env, error) {
				b.Plug(0x18, b.chips[0x38])
				return sense(mcp9808.New(b, &mcp9808.DefaultOpts))
			},
			celsius: -3.5,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, err := c.read(New(map[uint16]Chip{0x38: c.chip()}))
				if err != nil {
					t.Fatal(err)
				}
				celsius, humidity := e.Temperature.Celsius(), float64(e.Humidity)/float64(physic.PercentRH)
				if math.Abs(celsius-c.celsius) > 0.001 || math.Abs(humidity-c.humidity) > 0.001 {
					t.Errorf("%v °C, %v %%RH, want %v and %v", celsius, humidity, c.celsius, c.humidity)
				}
			})
		})
	}
}
