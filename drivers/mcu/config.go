package mcu

import (
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of a microcontroller.
type Config struct {
	Port       string        `yaml:"port" doc:"Serial port; best by a name that stays the same: /dev/serial/by-id/… goes with the adapter, /dev/serial/by-path/… with the socket." required:"true" pattern:"^/dev/[^\\s]+$" want:"a path below /dev" example:"/dev/serial/by-id/usb-Arduino__www.arduino.cc__0043_7563130353235130D0A1-if00"`
	Baud       int           `yaml:"baud" doc:"Bits per second, as its firmware has them; USB without a UART behind it takes any." default:"115200" min:"9600" max:"4000000"`
	DTR        string        `yaml:"dtr" doc:"The line DTR once the port is open. Keep leaves it as the kernel sets it, which is on." default:"keep" oneof:"keep|on|off"`
	RTS        string        `yaml:"rts" doc:"The line RTS once the port is open, as dtr." default:"keep" oneof:"keep|on|off"`
	Safe       string        `yaml:"safe" doc:"Whether its outputs are brought into their safe state at start and stop and when it is found again (take), or keep what they are set to until it does so by itself (keep)." default:"take" oneof:"take|keep"`
	Lease      time.Duration `yaml:"lease" doc:"Outputs keep their value for so long without the gateway, for example while that restarts, and then take their safe state. The gateway renews it while it runs. 0s: as long as the gateway is in session, no longer." default:"0s" min:"0s" max:"24h" example:"30s"`
	Statistics time.Duration `yaml:"statistics" doc:"Pace of the readings about the link itself. 0s: none." default:"5m" min:"0s" max:"24h"`

	FirmwareKeys []string `yaml:"firmware_keys" doc:"Public keys (Ed25519, base64, as \"fieldpost firmware keygen\" prints them) with one of which firmware must be signed. Empty: its firmware cannot be replaced by the gateway." default:"[]"`
	FirmwareCA   string   `yaml:"firmware_ca" doc:"CA certificates in PEM for the servers that firmware is fetched from; left out: those of the system." default:""`
}

const (
	safeKeep = "keep"
	// minLease is renewed three times in time on a line that repeats.
	minLease = 3 * time.Second
)

// Validate names every field at fault.
func (c Config) Validate() error {
	errs := []error{c.port().Validate()}
	if c.Lease > 0 && c.Lease < minLease {
		errs = append(errs, &gateway.FieldError{Field: "lease", Problem: fmt.Sprintf("%v is too short to be renewed in time; want at least %v, or 0s", c.Lease, minLease)})
	}
	if c.Statistics > 0 && c.Statistics < time.Second {
		errs = append(errs, &gateway.FieldError{Field: "statistics", Problem: fmt.Sprintf("%v is too often; want at least 1s, or 0s", c.Statistics)})
	}
	_, err := c.keys()
	return errors.Join(append(errs, err)...)
}

// port is how the port speaks: 8N1, as the link says.
func (c Config) port() bus.PortConfig {
	return bus.PortConfig{Port: c.Port, Baud: c.Baud, DataBits: 8, Parity: "none", StopBits: 1, DTR: c.DTR, RTS: c.RTS}
}

// Places implements bus.Placed.
func (c Config) Places() []bus.Place { return c.port().Places() }

// Advice warns of a port by a name that does not last.
func (c Config) Advice() []*gateway.FieldError { return c.port().Advice() }
