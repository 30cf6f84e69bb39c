package drivertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest/spisim"
	"github.com/fieldpost/fieldpost/gateway"
)

// scale is a driver that does everything right unless it is credulous. Its chip
// answers four bytes of anything with 0, the id 0x42, a value and its complement.
type scale struct {
	credulous bool
	buses     *bus.Set

	mu   sync.Mutex
	chip *bus.SPIChip
}

func (s *scale) Open(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.buses.SPI("spi-0")
	if err != nil {
		return err
	}
	chip, err := b.Chip(0, bus.SPIMode{MaxSpeed: physic.MegaHertz, Mode: spi.Mode0})
	if err != nil {
		return err
	}
	s.chip = chip
	_, err = s.weigh()
	return err
}

func (s *scale) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chip = nil
	return nil
}

func (s *scale) Read(ctx context.Context) ([]gateway.Reading, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chip == nil {
		return nil, bus.ErrNotOpen
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	weight, err := s.weigh()
	if err != nil {
		return nil, err
	}
	return []gateway.Reading{{Name: "weight", Value: gateway.Number(weight), Unit: "kg"}}, nil
}

func (s *scale) weigh() (float64, error) {
	var r [4]byte
	if err := s.chip.Tx(make([]byte, 4), r[:]); err != nil {
		return 0, err
	}
	if !s.credulous && (r[1] != 0x42 || r[2] != ^r[3]) {
		return 0, fmt.Errorf("chip id %#x: %w", r[1], gateway.ErrUnavailable)
	}
	return float64(r[2]), nil
}

// scaleChip has an id.
type scaleChip byte

func (c scaleChip) Tx(_, r []byte) { copy(r, []byte{0, byte(c), 0x21, 0xde}) }

func scaleDriver(credulous bool) SPIDriver {
	return SPIDriver{
		New:       func(buses *bus.Set) (any, error) { return &scale{credulous: credulous, buses: buses}, nil },
		Chips:     func() map[int]spisim.Chip { return map[int]spisim.Chip{0: scaleChip(0x42)} },
		Strangers: func() map[int]spisim.Chip { return map[int]spisim.Chip{0: scaleChip(0x43)} },
		Names:     []string{"0x43"},
	}
}

func TestGoodSPIDriver(t *testing.T) { SPI(t, scaleDriver(false)) }

// TestCredulousSPIDriver is found out.
func TestCredulousSPIDriver(t *testing.T) {
	const variable = "DRIVERTEST_SPI_FAULT"
	if os.Getenv(variable) != "" {
		SPI(t, scaleDriver(true))
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestCredulousSPIDriver$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), variable+"=1")
	out, err := cmd.CombinedOutput()
	for _, want := range []string{
		"Open without a chip: <nil>", "used without a chip: <nil>", "each answer is garbage: no error", "another chip is at the address: no error",
	} {
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("want it to fail with %q (%v):\n%s", want, err, out)
		}
	}
}
