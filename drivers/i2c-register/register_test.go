package i2cregister

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/gateway"
)

func pointer[T any](v T) *T { return &v }

// mcp9808 is a thermometer as a config has it: data sheet DS25095A, section 5.
func mcp9808() Config {
	whole := func(register uint16, bytes int) Cells { return Cells{Register: register, Bytes: bytes, Order: "big"} }
	return Config{
		Bus: "i2c-1", Address: 0x18,
		ID:   &ID{Cells: whole(0x06, 2), Mask: 0xffff, Equals: 0x0054},
		Init: []Write{{Register: 0x08, Write: []byte{0x02}, Verify: true}},
		Values: []Value{
			{Cells: whole(0x05, 2), Name: "temperature", Mask: 0x1fff, Signed: true, Scale: 0.0625, Unit: "Cel", Min: pointer(-40.0), Max: pointer(125.0)},
			{Cells: whole(0x05, 2), Name: "alarm", Bit: pointer(15), Mask: math.MaxUint32, Scale: 1},
		},
		Outputs: []Output{{Cells: whole(0x02, 2), Name: "limit", Min: -40, Max: 125, Scale: 1. / 16, Signed: true, Unit: "Cel", Safe: pointer(85.0)}},
	}
}

// words is a thermometer whose registers have 16 bits each.
type words struct {
	registers map[byte][]byte
	pointer   byte
}

func newWords() *words {
	return &words{registers: map[byte][]byte{2: {0, 0}, 5: {0xc1, 0x94}, 6: {0x00, 0x54}, 8: {3}}}
}

func (c *words) Tx(w, r []byte) error {
	if len(w) > 0 {
		c.pointer = w[0]
	}
	if len(w) > 1 {
		copy(c.registers[c.pointer], w[1:])
	}
	copy(r, c.registers[c.pointer])
	return nil
}

func opened(t *testing.T, c Config, chip i2csim.Chip) *Dev {
	t.Helper()
	d, err := New(c, bus.New(bus.Options{Hardware: i2csim.New(map[uint16]i2csim.Chip{c.Address: chip}).Hardware()}))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOnABadBus(t *testing.T) {
	drivertest.I2C(t, drivertest.I2CDriver{
		New:       func(buses *bus.Set) (any, error) { return New(mcp9808(), buses) },
		Chips:     func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{0x18: newWords()} },
		Strangers: func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{0x18: i2csim.Registers{6: 0x12}} },
		Names:     []string{"0x6 has 0x1200", "want 0x54"},
	})
}

func TestReadAndWrite(t *testing.T) {
	chip := newWords()
	d := opened(t, mcp9808(), chip)
	if got := fmt.Sprintf("%x %x", chip.registers[8], chip.registers[2]); got != "02 0550" {
		t.Errorf("set up: %s", got)
	}
	readings, err := d.Read(t.Context())
	if err != nil || fmt.Sprint(readings) != fmt.Sprint([]gateway.Reading{
		{Name: "temperature", Value: gateway.Number(25.25), Unit: "Cel"}, {Name: "alarm", Value: gateway.Bool(true)},
	}) {
		t.Errorf("%v (%v)", readings, err)
	}
	drivertest.WantQuantities(t, mcp9808().Quantities(), readings)
	chip.registers[5] = []byte{0x1e, 0x00} // -32 °C
	if readings, err = d.Read(t.Context()); err != nil || readings[0].Value != gateway.Number(-32) || readings[1].Value != gateway.Bool(false) {
		t.Errorf("below zero: %v (%v)", readings, err)
	}
	chip.registers[5] = []byte{0x08, 0x00} // 128 °C
	readings, err = d.Read(t.Context())
	if !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), "temperature: 128 Cel cannot be true (register 0x5 has 0x800)") || readings[0].Quality != gateway.Bad {
		t.Errorf("beyond the range: %v (%v)", readings, err)
	}
	if _, err := d.Do(t.Context(), gateway.Command{Action: "set_limit", Args: map[string]any{"value": -12.5}}); err != nil || fmt.Sprintf("%x", chip.registers[2]) != "ff38" {
		t.Errorf("set_limit: %x, %v", chip.registers[2], err)
	}
	if _, err := d.Do(t.Context(), gateway.Command{Action: "set_limit", Args: map[string]any{"value": 126.0}}); !errors.Is(err, gateway.ErrDenied) {
		t.Errorf("beyond its range: %v", err)
	}
	if err := d.Safe(t.Context()); err != nil || fmt.Sprintf("%x", chip.registers[2]) != "0550" {
		t.Errorf("safe: %x, %v", chip.registers[2], err)
	}
}

func TestBytes(t *testing.T) {
	record, err := drivertest.ParseRecord(strings.NewReader(`
i2c-1 0x18 w 06 r 0054 1ms
i2c-1 0x18 w 0802 r - 1ms
i2c-1 0x18 w 08 r 02 1ms
i2c-1 0x18 w 020550 r - 1ms
i2c-1 0x18 w 05 r c194 1ms
i2c-1 0x18 w 05 r c194 1ms
i2c-1 0x18 w 08 r 02 1ms
`))
	if err != nil {
		t.Fatal(err)
	}
	replay := drivertest.NewReplay("i2c-1", record)
	b := bus.New(bus.Options{Hardware: replay.Hardware()})
	d, err := New(mcp9808(), b)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read(t.Context()); err != nil || replay.Left() != nil {
		t.Errorf("%v, not asked: %v", err, replay.Left())
	}
}

func TestLongRegistersAndOrder(t *testing.T) {
	c := Config{
		Bus: "i2c-1", Address: 0x29, Long: true,
		Before: []Write{{Register: 0x0100}},
		Values: []Value{{Cells: Cells{Register: 0x0102, Bytes: 4, Order: "little"}, Name: "count", Mask: 0xffffff00, Shift: 8, Scale: 2, Offset: 1}},
	}
	record, err := drivertest.ParseRecord(strings.NewReader("i2c-1 0x29 w 0100 r - 1ms\ni2c-1 0x29 w 0102 r ff030201 1ms\n"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(c, bus.New(bus.Options{Hardware: drivertest.NewReplay("i2c-1", record).Hardware()}))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := d.Read(t.Context()); err != nil || r[0].Value != gateway.Number(2*0x010203+1) {
		t.Errorf("%v (%v)", r, err)
	}
}

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(c *Config){
		"values: is empty":                        func(c *Config) { c.Values, c.Outputs = nil, nil },
		"values[1].name: temperature is the name": func(c *Config) { c.Values[1].Name = "temperature" },
		"outputs[0].name: alarm is the name":      func(c *Config) { c.Outputs[0].Name = "alarm" },
		"values[0].register: is 0x100; want 0xff": func(c *Config) { c.Values[0].Register = 0x100 },
		"values[0].bytes: is 5":                   func(c *Config) { c.Values[0].Bytes = 5 },
		"values[0].mask: no bit of 0x10000":       func(c *Config) { c.Values[0].Mask = 0x10000 },
		"values[0].scale: is 0":                   func(c *Config) { c.Values[0].Scale = 0 },
		"values[0].min: 130 is not below":         func(c *Config) { c.Values[0].Min = pointer(130.0) },
		"values[1].bit: makes it a state":         func(c *Config) { c.Values[1].Unit = "Cel" },
		"values[0].invert: is for a bit":          func(c *Config) { c.Values[0].Invert = true },
		"values[1].bit: is 16":                    func(c *Config) { c.Values[1].Bit = pointer(16) },
		"outputs[0].max: 2048 is 32768":           func(c *Config) { c.Outputs[0].Max = 2048 },
		"outputs[0].min: 126 is not below":        func(c *Config) { c.Outputs[0].Min = 126 },
		"outputs[0].register: a verify of init":   func(c *Config) { c.Outputs[0].Register = 8 },
		"outputs[0].safe: is -41":                 func(c *Config) { c.Outputs[0].Safe = pointer(-41.0) },
		"outputs[0].scale: is 0":                  func(c *Config) { c.Outputs[0].Scale = 0 },
		"chip_id.equals: 0x10054 has bits":        func(c *Config) { c.ID.Equals, c.ID.Mask = 0x10054, 0xffffffff },
		"init[0].register: is 0x1ff; want":        func(c *Config) { c.Init[0].Register = 0x1ff },
		"before[0].verify: is for what init":      func(c *Config) { c.Before = []Write{{Write: []byte{1}, Verify: true}} },
	} {
		c := mcp9808()
		change(&c)
		if _, err := New(c, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// FuzzCells: whatever a map says that passes its check, and whatever a chip
// answers, there is a number or an error; and what is written is what is read.
func FuzzCells(f *testing.F) {
	f.Add(2, false, uint32(0x1fff), 0, true, 0.0625, 0.0, []byte{0xc1, 0x94}, -12.5)
	f.Add(4, true, uint32(0xffffffff), 31, true, 1e300, -1.0, []byte{0xff, 0xff, 0xff, 0xff}, 1e9)
	f.Add(1, false, uint32(0x80), 7, true, -1.0, 0.0, []byte{0x80}, math.Inf(1))
	f.Fuzz(func(t *testing.T, n int, little bool, mask uint32, shift int, signed bool, scale, offset float64, answer []byte, value float64) {
		order := "big"
		if little {
			order = "little"
		}
		cells := Cells{Bytes: n, Order: order}
		c := Config{
			Values:  []Value{{Cells: cells, Name: "v", Mask: mask, Shift: shift, Signed: signed, Scale: scale, Offset: offset}},
			Outputs: []Output{{Cells: cells, Name: "o", Signed: signed, Scale: scale, Offset: offset, Min: 0, Max: 1}},
		}
		d, err := New(c, nil)
		if err != nil || len(answer) < n {
			return
		}
		if r, err := d.config.Values[0].decode(answer[:n]); err == nil {
			if x, _ := r.Value.Number(); math.IsNaN(x) || math.IsInf(x, 0) {
				t.Fatalf("%v", x)
			}
		}
		b, err := d.config.Outputs[0].encode(value)
		if err != nil {
			return
		}
		back := Value{Cells: cells, Mask: math.MaxUint32, Signed: signed, Scale: scale, Offset: offset}.measure(cells.number(b))
		if len(b) != n || math.Abs(back-value) > math.Abs(scale)*0.5001+1e-9*(math.Abs(value)+math.Abs(offset)) {
			t.Fatalf("%v is written as %x, which is %v", value, b, back)
		}
	})
}
