package bus_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/gateway"
)

// idChip answers one question with its id, after a pause.
type idChip struct {
	ask, id string
	pause   time.Duration
	asked   time.Time
}

func (c *idChip) Tx(w, r []byte) error {
	if len(w) > 0 && string(w) != c.ask {
		return i2csim.NoAck()
	}
	if len(w) > 0 {
		c.asked = time.Now()
	}
	if len(r) > 0 && time.Since(c.asked) < c.pause {
		return i2csim.NoAck()
	}
	copy(r, c.id)
	return nil
}

func weather() []bus.Chip {
	at := []uint16{0x76, 0x77}
	return []bus.Chip{
		{Name: "BME280", Addresses: at, Ask: []byte{0xd0}, Answer: 1, Is: bus.HasID(0x60)},
		{Name: "BMP280", Addresses: at, Ask: []byte{0xd0}, Answer: 1, Is: bus.HasID(0x58)},
	}
}

func TestIdentify(t *testing.T) {
	slow := []bus.Chip{{Name: "SHT41", Addresses: []uint16{0x44, 0x45, 0x46}, Ask: []byte{0x89}, Answer: 2, Pause: 10 * time.Millisecond, Is: bus.HasID('o', 'k')}}
	gas := bus.Chip{Name: "BME680", Addresses: []uint16{0x76, 0x77}, Ask: []byte{0xd0}, Answer: 1, Is: bus.HasID(0x61)}
	for _, c := range []struct {
		name    string
		there   map[uint16]i2csim.Chip
		address uint16
		chips   []bus.Chip
		is      string
		says    string
	}{
		{name: "first", there: map[uint16]i2csim.Chip{0x76: &idChip{ask: "\xd0", id: "\x60"}}, address: 0x76, chips: weather(), is: "BME280"},
		{name: "second", there: map[uint16]i2csim.Chip{0x77: &idChip{ask: "\xd0", id: "\x58"}}, address: 0x77, chips: weather(), is: "BMP280"},
		{name: "slow", there: map[uint16]i2csim.Chip{0x44: &idChip{ask: "\x89", id: "ok", pause: 10 * time.Millisecond}}, address: 0x44, chips: slow, is: "SHT41"},
		{
			name: "pin high", there: map[uint16]i2csim.Chip{0x77: &idChip{ask: "\xd0", id: "\x60"}}, address: 0x76, chips: weather(),
			says: "no answer; 0x77 answers with chip id 0x60: is the address pin high? (fieldpost probe)",
		},
		{
			name: "pin low", there: map[uint16]i2csim.Chip{0x76: &idChip{ask: "\xd0", id: "\x58"}}, address: 0x77, chips: weather(),
			says: "no answer; 0x76 answers with chip id 0x58: is the address pin low? (fieldpost probe)",
		},
		{
			name: "three addresses", there: map[uint16]i2csim.Chip{0x46: &idChip{ask: "\x89", id: "ok"}}, address: 0x44, chips: slow,
			says: "no answer; 0x46 answers with chip id 0x6f6b: how are the address pins wired? (fieldpost probe)",
		},
		{
			name: "another chip elsewhere", there: map[uint16]i2csim.Chip{0x77: &idChip{ask: "\xd0", id: "\x61"}}, address: 0x76, chips: weather(),
			says: "no answer; check wires, power and the address, which can be 0x77 too (fieldpost probe)",
		},
		{
			name: "a known stranger", there: map[uint16]i2csim.Chip{0x76: &idChip{ask: "\xd0", id: "\x61"}}, address: 0x76, chips: weather(),
			says: "BME680 answers, with chip id 0x61; want BME280 or BMP280: unavailable",
		},
		{
			name: "a stranger", there: map[uint16]i2csim.Chip{0x76: &idChip{ask: "\xd0", id: "\xff"}}, address: 0x76, chips: weather(),
			says: "another chip answers, with chip id 0xff; want BME280 or BMP280; check the address and the wires (fieldpost probe): unavailable",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				buses := bus.New(bus.Options{Hardware: i2csim.New(c.there).Hardware()})
				defer buses.Close()
				b, err := buses.I2C("i2c-1")
				if err != nil {
					t.Fatal(err)
				}
				found, err := b.Identify(t.Context(), c.address, c.chips, gas)
				if found.Name != c.is {
					t.Errorf("found %q, want %q", found.Name, c.is)
				}
				if c.says == "" {
					if err != nil {
						t.Error(err)
					}
				} else if err == nil || err.Error() != c.says || !errors.Is(err, gateway.ErrUnavailable) {
					t.Errorf("it says\n%v, want\n%s", err, c.says)
				}
			})
		})
	}
}

// TestHintLeavesOtherErrorsAlone: a bus that is stuck is not searched.
func TestHintLeavesOtherErrorsAlone(t *testing.T) {
	sim := i2csim.New(nil)
	sim.Fault(func(address uint16, _, _ []byte) error {
		t.Errorf("%#02x is asked", address)
		return nil
	})
	buses := bus.New(bus.Options{Hardware: sim.Hardware()})
	defer buses.Close()
	b, err := buses.I2C("i2c-1")
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Hint(t.Context(), gateway.ErrTimeout, 0x76, weather()); got == nil || got.Error() != gateway.ErrTimeout.Error() {
		t.Error(got)
	}
}

// TestHintWithoutID: a chip that has none is not looked for.
func TestHintWithoutID(t *testing.T) {
	sim := i2csim.New(nil)
	sim.Fault(func(address uint16, _, _ []byte) error {
		t.Errorf("%#02x is asked", address)
		return nil
	})
	buses := bus.New(bus.Options{Hardware: sim.Hardware()})
	defer buses.Close()
	b, err := buses.I2C("i2c-1")
	if err != nil {
		t.Fatal(err)
	}
	light := []bus.Chip{{Name: "BH1750", Addresses: []uint16{0x23, 0x5c}}}
	got := b.Hint(t.Context(), bus.ErrNoAnswer, 0x23, light)
	if !errors.Is(got, bus.ErrNoAnswer) || !strings.Contains(got.Error(), "which can be 0x5c too") {
		t.Error(got)
	}
}
