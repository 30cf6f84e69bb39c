package pca9685

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/gateway"
)

// chip is a PCA9685: it counts registers up only when told so, and takes a
// prescaler only while it sleeps.
type chip struct {
	registers [256]byte
	pointer   byte
}

func newChip() *chip {
	c := &chip{}
	c.registers[0], c.registers[1], c.registers[regPrescale] = 0x11, 0x04, 0x1e
	for n := range 16 {
		c.registers[regOutputs+4*n+3] = full
	}
	return c
}

func (c *chip) Tx(w, r []byte) error {
	for i, b := range w {
		switch {
		case i == 0:
			c.pointer = b
			continue
		case c.pointer == regPrescale && c.registers[0]&sleep == 0:
		default:
			c.registers[c.pointer] = b
		}
		c.next()
	}
	for i := range r {
		r[i] = c.registers[c.pointer]
		c.next()
	}
	return nil
}

func (c *chip) next() {
	if c.registers[0]&increment != 0 {
		c.pointer++
	}
}

// output are the registers of one output.
func (c *chip) output(n int) string {
	return fmt.Sprintf("%x", c.registers[regOutputs+4*n:regOutputs+4*n+4])
}

func pointer(v float64) *float64 { return &v }

var plain = Config{Bus: "i2c-1", Address: 0x40, Frequency: 50, Outputs: []Output{
	{Channel: 0, Name: "lamp", Mode: "duty"},
	{Channel: 3, Name: "flap", Mode: "servo"},
	{Channel: 15, Name: "fan", Mode: "duty", Safe: pointer(100)},
}}

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

func do(t *testing.T, d *Dev, action string, args map[string]any) error {
	t.Helper()
	_, err := d.Do(t.Context(), gateway.Command{ID: "1", Action: action, Args: args})
	return err
}

func text(t *testing.T, d *Dev) string {
	t.Helper()
	readings, err := d.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range readings {
		fmt.Fprintf(&b, "%s %v%s; ", r.Name, r.Value, r.Unit)
	}
	return b.String()
}

func TestOnABadBus(t *testing.T) {
	drivertest.I2C(t, drivertest.I2CDriver{
		New:       func(buses *bus.Set) (any, error) { return New(plain, buses) },
		Chips:     func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{0x40: newChip()} },
		Strangers: func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{0x40: i2csim.Registers{0: 0x39}} },
		Names:     []string{"PCA9685"},
	})
}

// noisy is a chip that does not answer the first writes of an output.
type noisy struct {
	*chip
	left int
}

func (n *noisy) Tx(w, r []byte) error {
	if len(w) > 1 && n.left > 0 {
		n.left--
		return syscall.EREMOTEIO
	}
	return n.chip.Tx(w, r)
}

// TestSafeStateOfTheOthers: an output that cannot be reached keeps no other on.
func TestSafeStateOfTheOthers(t *testing.T) {
	c := &noisy{chip: newChip()}
	d := opened(t, plain, i2csim.New(map[uint16]i2csim.Chip{0x40: c}).Hardware())
	if err := do(t, d, "set_flap", map[string]any{"value": 90.0}); err != nil {
		t.Fatal(err)
	}
	c.left = 1
	if err := d.Safe(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "lamp: ") {
		t.Errorf("%v", err)
	}
	if got := c.output(3); got != "00000010" {
		t.Errorf("the flap still has %s", got)
	}
}

func TestOutputs(t *testing.T) {
	c := newChip()
	d := opened(t, plain, i2csim.New(map[uint16]i2csim.Chip{0x40: c}).Hardware())
	if c.registers[0] != increment || c.registers[1] != totemPole || c.registers[regPrescale] != 121 || c.output(15) != "00100000" || c.output(3) != "00000010" {
		t.Errorf("set up: %x, prescaler %d, %s, %s", c.registers[:2], c.registers[regPrescale], c.output(15), c.output(3))
	}
	if got, want := text(t, d), "lamp 0%; flap.active false; fan 100%; "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	err := errors.Join(
		do(t, d, "set_lamp", map[string]any{"value": 25.0}),
		do(t, d, "set_flap", map[string]any{"value": 45.0}), // 1.5 ms of 19.99 ms
		do(t, d, "set_fan", map[string]any{"value": 0.0}),
	)
	if got, want := text(t, d), "lamp 25%; flap.active true; flap 45deg; fan 0%; "; err != nil || got != want ||
		c.output(0) != "00000004" || c.output(3) != "00003301" || c.output(15) != "00000010" {
		t.Errorf("%s (%v), %s %s %s, want %s", got, err, c.output(0), c.output(3), c.output(15), want)
	}
	readings, _ := d.Read(t.Context())
	drivertest.WantQuantities(t, plain.Quantities(), readings)
	if err := do(t, d, "off", map[string]any{"output": "flap"}); err != nil || c.output(3) != "00000010" {
		t.Errorf("off: %s, %v", c.output(3), err)
	}
	if err := d.Safe(t.Context()); err != nil || c.output(0) != "00000010" || c.output(15) != "00100000" {
		t.Errorf("safe: %s %s, %v", c.output(0), c.output(15), err)
	}
	for action, args := range map[string]map[string]any{
		"set_lamp": {"value": 101.0}, "set_flap": {"value": -1.0}, "set_fan": nil, "off": {"output": "door"}, "set_door": {"value": 1.0},
	} {
		if err := do(t, d, action, args); !errors.Is(err, gateway.ErrDenied) {
			t.Errorf("%s %v: %v", action, args, err)
		}
	}
}

// TestReopened: a chip that was out of reach keeps its outputs; one that has lost
// its power, or may have missed something, takes the safe state.
func TestReopened(t *testing.T) {
	c := newChip()
	b := i2csim.New(map[uint16]i2csim.Chip{0x40: c})
	d := opened(t, plain, b.Hardware())
	reopen := func(what, want string) {
		t.Helper()
		if err := errors.Join(d.Close(), d.Open(t.Context())); err != nil || c.output(0) != want {
			t.Errorf("%s: %s, want %s (%v)", what, c.output(0), want, err)
		}
	}
	on := map[string]any{"value": 100.0}
	if err := do(t, d, "set_lamp", on); err != nil {
		t.Fatal(err)
	}
	reopen("out of reach", "00100000")
	c = newChip()
	b.Plug(0x40, c)
	if _, err := d.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "has it lost its power?") {
		t.Errorf("without power: %v", err)
	}
	reopen("without power", "00000010")
	if err := do(t, d, "set_lamp", on); err != nil {
		t.Fatal(err)
	}
	b.Fault(func(uint16, []byte, []byte) error { return syscall.EIO })
	if err := do(t, d, "set_lamp", map[string]any{"value": 50.0}); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("a write that fails: %v", err)
	}
	b.Fault(nil)
	reopen("after a write that failed", "00000010")
}

func TestBytes(t *testing.T) {
	record, err := drivertest.ParseRecord(strings.NewReader(
		"i2c-1 0x41 w 00 r 11" + strings.Repeat("11", 69) + " 1ms\n" +
			"i2c-1 0x41 w fe r 1e 1ms\n" +
			"i2c-1 0x41 w 003010 r - 1ms\n" +
			"i2c-1 0x41 w fe03 r - 1ms\n" +
			"i2c-1 0x41 w 0600000008" + strings.Repeat("00000010", 15) + " r - 1ms\n" +
			"i2c-1 0x41 w 0020 r - 1ms\n" +
			"i2c-1 0x41 w 00 r 201000000000" + "00000008" + strings.Repeat("00000010", 15) + " 1ms\n" +
			"i2c-1 0x41 w fe r 03 1ms\n" +
			"i2c-1 0x41 w 0600009a09 r - 1ms\n")) // 60 %
	if err != nil {
		t.Fatal(err)
	}
	replay := drivertest.NewReplay("i2c-1", record)
	d := opened(t, Config{Bus: "i2c-1", Address: 0x41, Frequency: 1526, Invert: true, OpenDrain: true, Outputs: []Output{
		{Channel: 0, Name: "lamp", Mode: "duty", Safe: pointer(50)},
	}}, replay.Hardware())
	if err := do(t, d, "set_lamp", map[string]any{"value": 60.0}); err != nil || replay.Left() != nil {
		t.Errorf("%v, not asked: %v", err, replay.Left())
	}
}

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(c *Config){
		"address: 0x70 is where":                    func(c *Config) { c.Address = 0x70 },
		"frequency: is 23 Hz":                       func(c *Config) { c.Frequency = 23 },
		"outputs: is empty":                         func(c *Config) { c.Outputs = nil },
		"outputs[1].channel: is 0":                  func(c *Config) { c.Outputs[1].Channel = 0 },
		"outputs[1].name: lamp is":                  func(c *Config) { c.Outputs[1].Name = "lamp" },
		"outputs[1].angle: is [5 5]":                func(c *Config) { c.Outputs[1].Angle = []float64{5, 5} },
		"outputs[1].pulse: is [0 1]":                func(c *Config) { c.Outputs[1].Pulse = []float64{0, 1} },
		"outputs[1].pulse: is [1 2] ms, longer":     func(c *Config) { c.Frequency = 1000 },
		"outputs[0].mode: pulse and angle are":      func(c *Config) { c.Outputs[0].Pulse = []float64{1, 2} },
		"outputs[1].safe: is 91; want 0 to 90 deg":  func(c *Config) { c.Outputs[1].Safe = pointer(91) },
		"outputs[0].safe: is -1; want 0 to 100 %":   func(c *Config) { c.Outputs[0].Safe = pointer(-1) },
		"outputs[2].channel: is 16; want 0 to 15, ": func(c *Config) { c.Outputs[2].Channel = 16 },
	} {
		c := plain
		c.Outputs = append([]Output(nil), plain.Outputs...)
		change(&c)
		if _, err := New(c, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
