package bus

import (
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// PortConfig is a serial port and how it speaks. Drivers and buses embed it, so
// that its keys are theirs.
type PortConfig struct {
	Port     string       `yaml:"port" doc:"Serial port; best by a name that stays the same: /dev/serial/by-id/… goes with the adapter, /dev/serial/by-path/… with the socket." required:"true" pattern:"^/dev/[^\\s]+$" want:"a path below /dev" example:"/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A9J1KX2V-if00-port0"`
	Baud     int          `yaml:"baud" doc:"Bits per second, any rate that the port can do." default:"9600" min:"50" max:"4000000"`
	DataBits int          `yaml:"data_bits" doc:"Bits of a character." default:"8" min:"5" max:"8"`
	Parity   string       `yaml:"parity" doc:"Parity bit of a character. A character with a wrong one is dropped by the kernel." default:"none" oneof:"none|even|odd"`
	StopBits int          `yaml:"stop_bits" doc:"Stop bits of a character." default:"1" min:"1" max:"2"`
	DTR      string       `yaml:"dtr" doc:"The line DTR once the port is open. Keep leaves it as the kernel sets it, which is on." default:"keep" oneof:"keep|on|off"`
	RTS      string       `yaml:"rts" doc:"The line RTS once the port is open, as dtr." default:"keep" oneof:"keep|on|off"`
	RS485    *RS485Config `yaml:"rs485" doc:"Lets the kernel switch a transceiver between sending and listening by RTS. Leave it out if the adapter does that by itself, as most do."`
}

// RS485Config is how RTS switches a transceiver. Only some UARTs can do it.
type RS485Config struct {
	Send   string        `yaml:"send" doc:"Level of RTS while sending." default:"high" oneof:"high|low"`
	Before time.Duration `yaml:"before" doc:"Pause between switching to sending and the first bit, in whole milliseconds." default:"0s" min:"0s" max:"100ms"`
	After  time.Duration `yaml:"after" doc:"Pause between the last bit and switching back, in whole milliseconds." default:"0s" min:"0s" max:"100ms"`
	Hear   bool          `yaml:"hear" doc:"Whether the receiver stays on while sending, so that what is sent is read back." default:"false"`
}

// Validate names every field at fault.
func (c PortConfig) Validate() error {
	var faults []error
	fault := func(field, format string, args ...any) {
		faults = append(faults, &gateway.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	within := func(field string, value, low, high int) {
		if value < low || value > high {
			fault(field, "%d is not allowed; want %d to %d", value, low, high)
		}
	}
	if c.Port == "" {
		fault("port", "is missing; want a serial port, such as one of /dev/serial/by-id")
	}
	within("baud", c.Baud, minBaud, maxBaud)
	within("data_bits", c.DataBits, 5, 8)
	within("stop_bits", c.StopBits, 1, 2)
	if _, known := parities[c.Parity]; !known {
		fault("parity", "%q is not allowed; want none, even or odd", c.Parity)
	}
	level := func(field, value string) {
		if value != Keep && value != On && value != Off {
			fault(field, "%q is not allowed; want keep, on or off", value)
		}
	}
	level("dtr", c.DTR)
	level("rts", c.RTS)
	if c.RS485 != nil && c.RTS != Keep {
		fault("rts", "RTS switches the transceiver of rs485 already; want keep")
	}
	return errors.Join(append(faults, c.RS485.validate())...)
}

func (c *RS485Config) validate() error {
	if c == nil {
		return nil
	}
	pause := func(field string, value time.Duration) error {
		if value%time.Millisecond == 0 && value >= 0 && value <= maxPause {
			return nil
		}
		return &gateway.FieldError{Field: "rs485." + field, Problem: fmt.Sprintf("%v is not allowed; want whole milliseconds up to %v", value, maxPause)}
	}
	return errors.Join(pause("before", c.Before), pause("after", c.After))
}

// What a line of a port is set to when it is opened.
const (
	Keep = "keep"
	On   = "on"
	Off  = "off"
)

const (
	minBaud, maxBaud = 50, 4_000_000
	maxPause         = 100 * time.Millisecond // the kernel's own bound
)

// Places implements Placed: a port belongs to one device.
func (c PortConfig) Places() []Place { return []Place{{At: c.Port}} }

// Takes is how long n characters take on the line.
func (c PortConfig) Takes(n int) time.Duration {
	bits := 1 + c.DataBits + c.StopBits
	if c.Parity != "none" {
		bits++
	}
	return time.Duration(n) * time.Duration(bits) * time.Second / time.Duration(max(c.Baud, minBaud))
}

// Gap is the silence that ends a frame of protocols that know frames by
// silence: 3.5 characters, and 1.75 ms above 19200 baud, as in "MODBUS over
// Serial Line", V1.02, 2.5.1.1.
func (c PortConfig) Gap() time.Duration {
	const fastest = 19200
	if c.Baud > fastest {
		return 1750 * time.Microsecond
	}
	return c.Takes(7) / 2
}
