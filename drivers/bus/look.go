package bus

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// lined is the config of a device on one GPIO line: it embeds LineConfig.
type lined interface{ gpioLine() LineConfig }

func (c LineConfig) gpioLine() LineConfig { return c }

// looked is the config of a device that is found in another way, by itself.
type looked interface {
	Look() (found string, err error)
}

// Look says whether what a device with this config is wired to is there, without
// taking or changing it, and what was found. A GPIO line must be free. From a chip
// on I2C one byte is read; so it must be one that does not mind.
func (s *Set) Look(config any) (found string, err error) {
	if c, ok := config.(lined); ok {
		chip, offset, err := s.findFree(c.gpioLine())
		if err != nil {
			return "", err
		}
		return placed(chip, offset) + " is free", nil
	}
	if c, ok := config.(looked); ok {
		return c.Look()
	}
	placed, ok := config.(Placed)
	if !ok {
		return "nothing that could be looked up", nil
	}
	if !s.Present(config) {
		return "", fmt.Errorf("its device file is not there: %w", gateway.ErrUnavailable)
	}
	for _, p := range placed.Places() {
		if p.Kind != KindI2C {
			continue
		}
		if err := s.lookForChip(p); err != nil {
			return "", err
		}
		return "somebody answers at " + p.At, nil
	}
	if !s.onFile(placed) {
		return "nothing that could be looked up", nil
	}
	return "its device file is there", nil
}

// onFile tells whether a device depends on a device file at all.
func (s *Set) onFile(placed Placed) bool {
	for _, p := range placed.Places() {
		if p.Bus == "" && strings.HasPrefix(p.At, "/dev/") {
			return true
		}
		if b, ok := s.config(p.Bus).(Placed); ok && p.Bus != "" && s.onFile(b) {
			return true
		}
	}
	return false
}

func (s *Set) lookForChip(p Place) error {
	address, err := strconv.ParseUint(p.At, 0, 16)
	if err != nil {
		return fmt.Errorf("%s is no address: %w", p.At, gateway.ErrInvalid)
	}
	b, err := s.I2C(p.Bus)
	if err != nil {
		return err
	}
	return b.Tx(uint16(address), nil, make([]byte, 1))
}
