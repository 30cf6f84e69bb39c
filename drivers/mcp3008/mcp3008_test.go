package mcp3008

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/analog"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/drivers/drivertest/spisim"
	"github.com/fieldpost/fieldpost/gateway"
)

// chip is an MCP3008, bit by bit as in figure 5-2.
type chip struct {
	counts [8]uint16
	spoil  func(answer []byte)
	err    error
}

func (c *chip) String() string                    { return "MCP3008" }
func (c *chip) Close() error                      { return nil }
func (c *chip) LimitSpeed(physic.Frequency) error { return nil }
func (c *chip) Duplex() conn.Duplex               { return conn.Full }
func (c *chip) TxPackets([]spi.Packet) error      { return errors.New("not used") }

func (c *chip) Connect(f physic.Frequency, m spi.Mode, bits int) (spi.Conn, error) {
	if f > 1350*physic.KiloHertz || m != spi.Mode0 || bits != 8 {
		return nil, fmt.Errorf("connected with %v, %v, %d", f, m, bits)
	}
	return c, nil
}

func (c *chip) Tx(w, r []byte) error {
	in := func(i int) int { return int(w[i/8] >> (7 - i%8) & 1) }
	start := 0
	for start < 8*len(w) && in(start) == 0 {
		start++
	}
	// single, D2, D1, D0, the time of the sample, then a zero.
	value := c.counts[in(start+2)<<2|in(start+3)<<1|in(start+4)]
	if in(start+1) == 0 {
		value = 7
	}
	out := "0"
	for bit := 9; bit >= 0; bit-- {
		out += fmt.Sprint(value >> bit & 1)
	}
	for bit := 1; bit <= 9; bit++ {
		out += fmt.Sprint(value >> bit & 1)
	}
	out = strings.Repeat("1", start+6) + out + strings.Repeat("0", 8*len(r)) // nobody drives the line before
	for i := range r {
		bits, _ := strconv.ParseUint(out[8*i:8*i+8], 2, 8)
		r[i] = byte(bits)
	}
	if c.spoil != nil {
		c.spoil(r)
	}
	return c.err
}

var plain = Config{Bus: "spi-0", ChipSelect: 1, Reference: 3.3, Inputs: []Input{
	{Pins: "CH0", Input: analog.Input{Divider: 1}},
	{Pins: "CH7", Input: analog.Input{Divider: 1, Shunt: 150, Name: "pressure", Scale: &analog.Scale{From: []float64{4, 20}, To: []float64{0, 10}, Unit: "Pa"}}},
	{Pins: "CH2-CH3", Input: analog.Input{Divider: 2}},
}}

func made(t *testing.T, c *chip, config Config) *Dev {
	t.Helper()
	d, err := New(config, bus.New(bus.Options{Hardware: bus.Hardware{SPI: func(controller, chipSelect int) (spi.PortCloser, error) {
		if controller != 0 || chipSelect != 1 {
			return nil, errors.New("no such file")
		}
		return c, nil
	}}}))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func opened(t *testing.T, c *chip) *Dev {
	t.Helper()
	d := made(t, c, plain)
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func text(readings []gateway.Reading) string {
	var b strings.Builder
	for _, r := range readings {
		number, _ := r.Value.Number()
		fmt.Fprintf(&b, "%s %.4f %s %s; ", r.Name, number, r.Unit, r.Quality)
	}
	return b.String()
}

// simulated is the chip on a bus of package spisim.
type simulated struct{ *chip }

func (s simulated) Tx(w, r []byte) { _ = s.chip.Tx(w, r) }

func TestOnABadBus(t *testing.T) {
	c := plain
	c.ChipSelect = 0
	drivertest.SPI(t, drivertest.SPIDriver{
		New: func(buses *bus.Set) (any, error) { return New(c, buses) },
		Chips: func() map[int]spisim.Chip {
			return map[int]spisim.Chip{0: simulated{&chip{counts: [8]uint16{512, 7: 558}}}}
		},
		Unnoticed: map[string]string{"zeros": "a data line that is held low looks like 0 V"},
	})
}

func TestRead(t *testing.T) {
	c := &chip{counts: [8]uint16{512, 7: 558}}
	d := opened(t, c)
	r, err := d.Read(t.Context())
	if want := "voltage.0 1.6500 V ; pressure 4.9927 Pa good; voltage.2-3 0.0451 V ; "; err != nil || text(r) != want {
		t.Errorf("%s (%v), want %s", text(r), err, want)
	}
	drivertest.WantQuantities(t, plain.Quantities(), r)
	c.counts[0], c.counts[7] = 1023, 0
	r, err = d.Read(t.Context())
	if !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), "above the reference") || !strings.Contains(err.Error(), "a wire is broken") ||
		len(r) != 3 || r[0].Quality != gateway.Bad || r[1].Quality != gateway.Bad || r[2].Quality != "" {
		t.Errorf("%s (%v)", text(r), err)
	}
}

// TestBytes is one opening and one read: 1.65 V at CH0.
func TestBytes(t *testing.T) {
	record, err := drivertest.ParseRecord(strings.NewReader(`
spi-0 cs0 w 0180000000 r 0002000080 100µs
spi-0 cs0 w 0180000000 r fffa000080 100µs
`))
	if err != nil {
		t.Fatal(err)
	}
	replay := drivertest.NewReplay("spi-0", record)
	d, err := New(Config{Bus: "spi-0", Reference: 3.3, Inputs: plain.Inputs[:1]}, bus.New(bus.Options{Hardware: replay.Hardware()}))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := d.Read(t.Context()); err != nil || text(r) != "voltage.0 1.6500 V ; " || replay.Left() != nil {
		t.Errorf("%s (%v), not asked: %v", text(r), err, replay.Left())
	}
}

// TestEachValue: all 1024 values, and no answer with a wrong bit is taken.
func TestEachValue(t *testing.T) {
	c := &chip{}
	for value := range uint16(1024) {
		c.counts[0] = value
		var r [5]byte
		if err := c.Tx([]byte{1, plain.Inputs[0].selection() << 4, 0, 0, 0}, r[:]); err != nil {
			t.Fatal(err)
		}
		if got, ok := decode(r); !ok || got != value {
			t.Fatalf("%d is read as %d from %x (%v)", value, got, r, ok)
		}
		for bit := 13; bit < 40; bit++ {
			wrong := r
			wrong[bit/8] ^= 1 << (7 - bit%8)
			if got, ok := decode(wrong); ok && bit != 23 { // the least bit is sent once
				t.Fatalf("%d with bit %d wrong is read as %d", value, bit, got)
			}
		}
	}
}

func TestNobodyThere(t *testing.T) {
	c := &chip{counts: [8]uint16{512, 7: 558}}
	d := opened(t, c)
	c.spoil = func(r []byte) { copy(r, "\xff\xff\xff\xff\xff") }
	if r, err := d.Read(t.Context()); len(r) != 0 || !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "CH0: what it says (ffffffffff)") {
		t.Errorf("%s (%v)", text(r), err)
	}
	if err := errors.Join(d.Close(), d.Open(t.Context())); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("opened: %v", err)
	}
	if _, err := d.Read(t.Context()); !errors.Is(err, bus.ErrNotOpen) {
		t.Errorf("not open: %v", err)
	}
	c.spoil = nil
	if err := d.Open(t.Context()); err != nil {
		t.Error(err)
	}
	c.err = errors.New("cannot send after transport endpoint shutdown")
	if _, err := d.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("a device file that fails: %v", err)
	}
	c.err = nil
	if err := errors.Join(d.Close(), d.Open(t.Context())); err != nil {
		t.Error(err)
	}
	if _, err := d.Read(t.Context()); err != nil {
		t.Errorf("opened anew: %v", err)
	}
	other := plain
	other.ChipSelect = 0
	if err := made(t, c, other).Open(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("no such chip select: %v", err)
	}
}

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(c *Config){
		"inputs: is empty":              func(c *Config) { c.Inputs = nil },
		"inputs[0].pins: is \"\"":       func(c *Config) { c.Inputs[0].Pins = "" },
		"inputs[1].name: voltage.0 is":  func(c *Config) { c.Inputs[1].Name = "voltage.0" },
		"inputs[1].shunt: 21 mA":        func(c *Config) { c.Inputs[1].Shunt = 250 },
		"inputs[1].scale.from: is [4 4": func(c *Config) { c.Inputs[1].Scale = &analog.Scale{From: []float64{4, 4}, To: []float64{1, 2}} },
	} {
		c := plain
		c.Inputs = append([]Input(nil), plain.Inputs...)
		change(&c)
		if _, err := New(c, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// FuzzDecode: what is taken for an answer is one, of a value of ten bits.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{0, 2, 0, 0, 0x80})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != 5 {
			return
		}
		counts, ok := decode([5]byte(b))
		if !ok {
			return
		}
		c := &chip{counts: [8]uint16{counts}}
		var r [5]byte
		if err := c.Tx([]byte{1, 0x80, 0, 0, 0}, r[:]); err != nil || counts > 1023 ||
			r[1]&7 != b[1]&7 || r[2] != b[2] || r[3] != b[3] || r[4] != b[4] {
			t.Errorf("%x is taken for %d, which is %x", b, counts, r)
		}
	})
}
