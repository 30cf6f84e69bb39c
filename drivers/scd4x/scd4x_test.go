package scd4x

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/sensirion"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/gateway"
)

// chip is an SCD4x. While it measures it takes few commands, an answer needs its
// time, and each measurement can be read once.
type chip struct {
	words    []uint16
	interval time.Duration // 0 while it does not measure
	faster   time.Duration // how much faster than a real one it measures
	begun    time.Time
	given    int
	busy     time.Time
	answer   []byte
	log      []string
}

func newChip() *chip { return &chip{words: []uint16{500, 0x6667, 0x5eb9}, faster: 1} }

func (c *chip) Tx(w, r []byte) error {
	if time.Now().Before(c.busy) {
		return i2csim.NoAck()
	}
	if len(w) > 0 {
		if err := c.command(binary.BigEndian.Uint16(w), w[2:]); err != nil {
			return err
		}
	}
	if len(r) == 0 {
		return nil
	}
	if len(w) > 0 || c.answer == nil {
		return i2csim.NoAck()
	}
	for i := range r {
		r[i] = 0xff
	}
	copy(r, c.answer)
	c.answer = nil
	return nil
}

func (c *chip) command(cmd uint16, args []byte) error {
	if c.interval > 0 && !slices.Contains([]uint16{cmdStop, cmdReady, cmdRead, cmdPressure}, cmd) {
		return i2csim.NoAck()
	}
	if len(args) > 0 && !sensirion.Sound(args) {
		return i2csim.NoAck()
	}
	c.busy, c.answer = time.Now().Add(time.Millisecond), nil
	measured := 0
	if c.interval > 0 {
		measured = int(time.Since(c.begun) / c.interval)
	}
	switch cmd {
	case cmdReady:
		var ready uint16 = 0x8000
		if measured > c.given {
			ready = 0x8006
		}
		c.answer = sensirion.Append(nil, ready)
		return nil
	case cmdRead:
		if measured > c.given {
			c.given, c.answer = measured, sensirion.Append(nil, c.words...)
		}
		return nil
	case 0x3682:
		c.answer = sensirion.Append(nil, 0xf896, 0x9f07, 0x3bbe)
		return nil
	case cmdStart:
		c.interval, c.begun, c.given = 5*time.Second/c.faster, time.Now(), 0
	case cmdStartSlow:
		c.interval, c.begun, c.given = 30*time.Second, time.Now(), 0
	case cmdStop:
		c.interval, c.busy = 0, time.Now().Add(stopping)
	}
	c.log = append(c.log, fmt.Sprintf("%04x %x", cmd, args))
	return nil
}

var plain = Config{Bus: "i2c-1", Offset: 4, SelfCalibration: true}

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
		fmt.Fprintf(&b, "%s %.1f %s %s; ", r.Name, number, r.Unit, r.Quality)
	}
	return b.String()
}

func TestOnABadBus(t *testing.T) {
	drivertest.I2C(t, drivertest.I2CDriver{
		New: func(buses *bus.Set) (any, error) { return New(plain, buses) },
		Chips: func() map[uint16]i2csim.Chip {
			c := newChip()
			c.faster = 100 // part of the suite is in real time
			return map[uint16]i2csim.Chip{address: c}
		},
		Strangers: func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{address: i2csim.Registers{}} },
		Names:     []string{"SCD4x"},
		Checksums: true,
	})
}

// TestBytes has the example of the data sheet, section 3.6.2: 500 ppm, 25 °C, 37 %RH.
func TestBytes(t *testing.T) {
	record, err := drivertest.ParseRecord(strings.NewReader(`
i2c-1 0x62 w 3f86 r - 1ms
i2c-1 0x62 w 3682 r - 1ms
i2c-1 0x62 w - r f896319f07c23bbe89 1ms
i2c-1 0x62 w 241d05da29 r - 1ms
i2c-1 0x62 w 2427000081 r - 1ms
i2c-1 0x62 w 24160001b0 r - 1ms
i2c-1 0x62 w 21b1 r - 1ms
i2c-1 0x62 w e4b8 r - 1ms
i2c-1 0x62 w - r 8000a2 1ms
i2c-1 0x62 w e4b8 r - 1ms
i2c-1 0x62 w - r 800604 1ms
i2c-1 0x62 w ec05 r - 1ms
i2c-1 0x62 w - r 01f4336667a25eb93c 1ms
`))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		replay := drivertest.NewReplay("i2c-1", record)
		r, err := opened(t, plain, replay.Hardware()).Read(t.Context())
		drivertest.WantQuantities(t, plain.Quantities(), r)
		if want := "co2 500.0 ppm uncertain; temperature 25.0 Cel ; humidity 37.0 %RH ; "; err != nil || text(r) != want || replay.Left() != nil {
			t.Errorf("%s (%v), want %s; not asked %v", text(r), err, want, replay.Left())
		}
	})
}

// TestMeasures: each measurement is given once, and after a minute without doubt.
func TestMeasures(t *testing.T) {
	for _, c := range []struct {
		config  Config
		every   time.Duration
		settled int
	}{{plain, 5 * time.Second, 12}, {Config{Bus: "i2c-1", LowPower: true}, 30 * time.Second, 2}} {
		synctest.Test(t, func(t *testing.T) {
			d := opened(t, c.config, i2csim.New(map[uint16]i2csim.Chip{address: newChip()}).Hardware())
			begun := time.Now()
			for n := 1; n <= 15; n++ {
				r, err := d.Read(t.Context())
				due := time.Duration(n) * c.every
				if late := time.Since(begun) - due; err != nil || late < -time.Second || late > time.Second {
					t.Errorf("%d: %s (%v) %v late", n, text(r), err, late)
				}
				if want := n < c.settled; err == nil && (r[0].Quality == gateway.Uncertain) != want {
					t.Errorf("%d: %s", n, text(r))
				}
			}
		})
	}
}

func TestSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChip()
		hardware := i2csim.New(map[uint16]i2csim.Chip{address: c}).Hardware()
		opened(t, Config{Bus: "i2c-1", Altitude: 1950, LowPower: true}, hardware)
		if got, want := strings.Join(c.log, ", "), "3f86 , 241d 000081, 2427 079e"; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "2416 000081, 21ac ") {
			t.Errorf("%s, want %s", got, want)
		}
		c.log = nil
		opened(t, Config{Bus: "i2c-1", Pressure: 987, SelfCalibration: true}, hardware) // while it measures
		if got, want := strings.Join(c.log, ", "), "3f86 , 241d 000081, e000 03db42, 2416 0001b0, 21b1 "; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

func TestImplausible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChip()
		d := opened(t, plain, i2csim.New(map[uint16]i2csim.Chip{address: c}).Hardware())
		time.Sleep(settling)
		for _, one := range []struct {
			words []uint16
			want  string
			fault string
		}{
			{[]uint16{0, 0x6667, 0x5eb9}, "temperature 25.0 Cel ; humidity 37.0 %RH ; ", "cannot measure"},
			{[]uint16{0xffff, 0x6667, 0x5eb9}, "temperature 25.0 Cel ; humidity 37.0 %RH ; ", "cannot measure"},
			{[]uint16{500, 0, 0}, "", "beyond what the sensor measures"},
			{[]uint16{9000, 0x6667, 0xffff}, "co2 9000.0 ppm uncertain; temperature 25.0 Cel ; humidity 100.0 %RH ; ", ""},
		} {
			c.words = one.words
			r, err := d.Read(t.Context())
			if text(r) != one.want || one.fault == "" && err != nil || one.fault != "" && (!errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), one.fault)) {
				t.Errorf("%v: %s (%v)", one.words, text(r), err)
			}
		}
		*c = *newChip() // it has lost its power
		if _, err := d.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "has not measured for 5s") {
			t.Errorf("without power: %v", err)
		}
	})
}

func TestValidate(t *testing.T) {
	if _, err := New(Config{Altitude: 480, Pressure: 957}, nil); err == nil || !strings.Contains(err.Error(), "pressure: takes the place of altitude") {
		t.Error(err)
	}
}

// FuzzReadings: whatever comes, a value is within what the sensor can say.
func FuzzReadings(f *testing.F) {
	f.Add(uint16(500), uint16(0x6667), uint16(0x5eb9))
	f.Add(uint16(0), uint16(0), uint16(0))
	f.Add(uint16(0xffff), uint16(0xffff), uint16(0xffff))
	f.Fuzz(func(t *testing.T, co2, temperature, humidity uint16) {
		readings, _ := (&Dev{}).readings([]uint16{co2, temperature, humidity})
		for _, r := range readings {
			bounds := map[string][2]float64{"co2": {1, 40_000}, "temperature": {-10, 60}, "humidity": {0, 100}}[r.Name]
			if v, ok := r.Value.Number(); !ok || v < bounds[0] || v > bounds[1] {
				t.Errorf("%v", r)
			}
		}
	})
}
