package bus_test

import (
	"errors"
	"testing"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/gateway"
)

// looked is found in a way of its own.
type looked struct{ placed }

func (looked) Look() (string, error) { return "found by itself", nil }

// TestLook finds what is there, without taking it.
func TestLook(t *testing.T) {
	chip := drivertest.NewChip("gpiochip0", "pinctrl", "GPIO17", "GPIO27")
	chip.TakenBy("GPIO27", "spi0 CS0")
	expander := i2csim.NewMCP23017()
	hardware := i2csim.New(map[uint16]i2csim.Chip{0x20: expander}).Hardware()
	hardware.GPIO = drivertest.GPIO{chip}
	set := bus.New(bus.Options{Hardware: hardware})
	defer set.Close() //nolint:errcheck // nothing of it is left behind
	at20 := placed{bus.AtI2C("i2c-1", 0x20)}
	for want, config := range map[string]any{
		"somebody answers at 0x20":                      at20,
		"GPIO17, line 0 of gpiochip0 (pinctrl) is free": bus.LineConfig{Line: "GPIO17"},
		"nothing that could be looked up":               placed{{At: "a place that is no file"}},
		"found by itself":                               looked{},
		"its device file is there":                      placed{{At: "/dev/null"}},
	} {
		if got, err := set.Look(config); err != nil || got != want {
			t.Errorf("%v: %q (%v), want %q", config, got, err, want)
		}
	}
	for name, config := range map[string]any{
		"a line in use":       bus.LineConfig{Line: "GPIO27"},
		"no such line":        bus.LineConfig{Line: "GPIO5"},
		"no such device file": placed{{At: "/dev/fieldpost-none"}},
		"no such chip":        placed{bus.AtI2C("i2c-1", 0x21)},
	} {
		if got, err := set.Look(config); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("%s: %q (%v)", name, got, err)
		}
	}
	if !chip.Free() || expander.Out() != 0 {
		t.Error("something was taken or moved")
	}
}
