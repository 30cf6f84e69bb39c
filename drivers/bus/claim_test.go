package bus_test

import (
	"fmt"
	"testing"

	"github.com/fieldpost/fieldpost/drivers/bus"
)

type placed []bus.Place

func (p placed) Places() []bus.Place { return p }

// TestClaims: by the names of the kernel, whatever the config calls its buses.
func TestClaims(t *testing.T) {
	set := bus.New(bus.Options{Configs: map[string]any{
		"shed":  &bus.I2CConfig{Device: "/dev/i2c-3"},
		"left":  &bus.MuxConfig{Bus: "shed", Address: 0x71, Channel: 1},
		"inner": &bus.MuxConfig{Bus: "left", Address: 0x72, Channel: 2},
		"fast":  &bus.SPIConfig{Controller: 1},
	}})
	for want, place := range map[string]bus.Place{
		"[{air /dev/i2c-1 118}]":         bus.AtI2C("i2c-1", 0x76),
		"[{air /dev/i2c-3 118}]":         bus.AtI2C("shed", 0x76),
		"[{air /dev/i2c-3 64}]":          bus.AtI2C("inner", 0x40),
		"[{air /dev/spidev1.2 -1}]":      bus.AtSPI("fast", 2),
		"[{air /dev/serial/by-id/a -1}]": {At: "/dev/serial/by-id/a"},
		"[]":                             {At: "GPIO17"},
	} {
		if got := fmt.Sprint(set.Claims("air", placed{place})); got != want {
			t.Errorf("%v: %s, want %s", place, got, want)
		}
	}
	if got := set.Claims("air", 5); got != nil {
		t.Errorf("what is wired to nothing claims %v", got)
	}
	want := "[{the multiplexer of bus inner /dev/i2c-3 114} {the multiplexer of bus left /dev/i2c-3 113}]"
	if got := fmt.Sprint(set.MuxClaims()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
