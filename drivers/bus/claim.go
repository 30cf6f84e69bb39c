package bus

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Claim is what of the hardware somebody uses, by the names of the kernel: those
// of the section buses are of no use to others.
type Claim struct {
	// By says who it is.
	By string `json:"by"`
	// Device is a device file: that of an I2C bus, a chip select, a serial port.
	Device string `json:"device"`
	// Address on an I2C bus; Whole for all of the device file. A chip behind a
	// multiplexer claims its address on the bus of the board.
	Address int `json:"address"`
}

// Whole is the address of a claim to a whole device file.
const Whole = -1

// Claims are what a device with this config uses, as far as it has device files.
func (s *Set) Claims(by string, config any) (claims []Claim) {
	placed, ok := config.(Placed)
	if !ok {
		return nil
	}
	for _, p := range placed.Places() {
		if c, ok := s.claim(p); ok {
			c.By = by
			claims = append(claims, c)
		}
	}
	return claims
}

// MuxClaims are what the multiplexers of the section buses use.
func (s *Set) MuxClaims() (claims []Claim) {
	taken := s.Taken()
	slices.SortFunc(taken, func(a, b Taken) int { return strings.Compare(a.Place.String(), b.Place.String()) })
	for _, t := range taken {
		if c, ok := s.claim(t.Place); ok {
			c.By = t.By
			claims = append(claims, c)
		}
	}
	return claims
}

func (s *Set) claim(p Place) (Claim, bool) {
	if p.Bus == "" {
		return Claim{Device: p.At, Address: Whole}, strings.HasPrefix(p.At, "/dev/")
	}
	trunk := p.Bus
	for _, above := range s.above(p.Bus) {
		trunk = above
	}
	switch c := s.config(trunk).(type) {
	case *I2CConfig:
		address, err := strconv.ParseUint(p.At, 0, 16)
		return Claim{Device: c.Device, Address: int(address)}, err == nil
	case *SPIConfig:
		return Claim{Device: fmt.Sprintf("/dev/spidev%d.%s", c.Controller, strings.TrimPrefix(p.At, "cs")), Address: Whole}, true
	case owner:
		return Claim{Device: c.hardware(), Address: Whole}, strings.HasPrefix(c.hardware(), "/dev/")
	}
	return Claim{}, false
}
