package drivertest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/gateway"
)

// gauge is a driver that does everything right; each fault makes it do one
// thing wrong. Its chip has the id 0x42 in register 0, a setting in register 1
// that is 0 after power-up, and a value with its complement in 2 and 3.
type gauge struct {
	fault string
	buses *bus.Set

	mu   sync.Mutex
	chip *i2c.Dev
	kept [][]byte
	last [4]byte
}

func gaugeChips() []bus.Chip {
	return []bus.Chip{{Name: "GAUGE", Addresses: []uint16{0x10, 0x11}, Ask: []byte{0}, Answer: 1, Is: bus.HasID(0x42)}}
}

func (g *gauge) Open(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	b, err := g.buses.I2C("i2c-1")
	if err != nil {
		return err
	}
	chip := &i2c.Dev{Bus: b, Addr: 0x10}
	if g.fault != "no id" {
		if _, err := b.Identify(ctx, 0x10, gaugeChips()); err != nil {
			return g.hidden(err)
		}
	}
	if g.fault == "once" && g.kept != nil {
		return gateway.ErrUnavailable
	}
	g.chip, g.kept = chip, make([][]byte, 1)
	return g.hidden(chip.Tx([]byte{1, 7}, nil))
}

// hidden forgets what kind of error it was.
func (g *gauge) hidden(err error) error {
	if err != nil && g.fault == "hides errors" {
		return errors.New("gauge: " + err.Error())
	}
	return err
}

func (g *gauge) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fault != "open for ever" {
		g.chip = nil
	}
	return nil
}

func (g *gauge) Read(ctx context.Context) ([]gateway.Reading, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.chip == nil {
		return nil, bus.ErrNotOpen
	}
	if g.fault != "deaf" {
		if err := bus.Wait(ctx, time.Millisecond); err != nil {
			return nil, err
		}
	} else {
		time.Sleep(time.Second)
	}
	if g.fault == "leaks memory" {
		g.kept = append(g.kept, make([]byte, 100))
	}
	if g.fault == "leaks goroutines" {
		go func() { select {} }()
	}
	var r [4]byte
	for {
		if err := g.chip.Tx([]byte{0}, r[:]); err != nil && g.fault != "swallows errors" {
			return nil, g.hidden(err)
		}
		if g.fault != "loops" || r[1] == 7 {
			break
		}
	}
	if g.fault == "swallows errors" && r[0] == 0 {
		r = g.last
	}
	g.last = r
	return g.reading(r)
}

func (g *gauge) reading(r [4]byte) ([]gateway.Reading, error) {
	switch {
	case r[0] != 0x42 && g.fault != "believes all" && g.fault != "no id":
		return nil, gateway.ErrUnavailable
	case r[1] != 7 && g.fault == "panics after a loss of power":
		panic("no setting")
	case r[1] != 7 && g.fault != "keeps no setting" && g.fault != "believes all":
		return nil, gateway.ErrUnavailable
	case r[2] != ^r[3] && g.fault != "no checksum" && g.fault != "believes all":
		return nil, gateway.ErrInvalid
	}
	value := float64(r[1]) * float64(r[2])
	return []gateway.Reading{{Name: "level", Value: gateway.Number(value), Unit: "m"}}, nil
}

// gaugeRegisters keep what is written to register 1.
type gaugeRegisters struct{ i2csim.Registers }

func (c gaugeRegisters) Tx(w, r []byte) error {
	if len(w) == 2 && w[0] == 1 {
		c.Registers[1] = w[1]
	}
	return c.Registers.Tx(w, r)
}

func gaugeDriver(fault string) I2CDriver {
	return I2CDriver{
		New: func(buses *bus.Set) (any, error) { return &gauge{fault: fault, buses: buses}, nil },
		Chips: func() map[uint16]i2csim.Chip {
			return map[uint16]i2csim.Chip{0x10: gaugeRegisters{i2csim.Registers{0: 0x42, 2: 0x21, 3: 0xde}}}
		},
		Strangers: func() map[uint16]i2csim.Chip { return map[uint16]i2csim.Chip{0x10: i2csim.Registers{0: 0x43}} },
		Names:     []string{"0x43", "GAUGE"},
		Checksums: true,
	}
}

func TestGoodI2CDriver(t *testing.T) { I2C(t, gaugeDriver("")) }

// TestI2CFaultsAreFound runs the suite on drivers with one fault each, in a
// process of its own, since it fails there.
func TestI2CFaultsAreFound(t *testing.T) {
	const variable = "DRIVERTEST_I2C_FAULT"
	if fault := os.Getenv(variable); fault != "" {
		I2C(t, gaugeDriver(fault))
		return
	}
	for fault, want := range map[string]string{
		"no id":                        "want it to name 0x43",
		"once":                         "Open: unavailable",
		"hides errors":                 "want gateway.ErrUnavailable",
		"open for ever":                "after Close: no error",
		"deaf":                         "longer",
		"leaks memory":                 "it holds",
		"leaks goroutines":             "deadlock: main bubble goroutine has exited",
		"swallows errors":              "used without a chip: <nil>",
		"loops":                        "a loop without end",
		"believes all":                 "each answer is garbage: no error",
		"keeps no setting":             "the power is lost, number 1 of a call: level is given as 0",
		"panics after a loss of power": "no setting",
		"no checksum":                  "bit 2 of each answer is wrong: level is given as",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestI2CFaultsAreFound$", "-test.timeout=60s")
			cmd.Env = append(os.Environ(), variable+"="+fault)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), want) {
				t.Errorf("want it to fail with %q (%v):\n%s", want, err, out)
			}
		})
	}
}
