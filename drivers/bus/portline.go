package bus

import (
	"fmt"
	"slices"
	"time"
	"unsafe"

	"github.com/tarm/serial"
	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

var parities = map[string]serial.Parity{"none": serial.ParityNone, "even": serial.ParityEven, "odd": serial.ParityOdd}

// tarmBauds are the rates that tarm/serial knows.
var tarmBauds = []int{
	50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400,
	460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000,
}

// tarmBaud is the rate to open a port with; setLine sets the others.
func tarmBaud(baud int) int {
	if slices.Contains(tarmBauds, baud) {
		return baud
	}
	return 9600
}

// setLine does what tarm/serial cannot, once that has set up the port.
func (p *Port) setLine(fd int) error {
	if err := setBaud(fd, p.Baud); err != nil {
		return err
	}
	if p.RS485 != nil {
		before, err := p.RS485.set(fd)
		if err != nil {
			return err
		}
		p.was485 = &before
	}
	for _, line := range []struct {
		name, want string
		bit        int
	}{{"DTR", p.DTR, unix.TIOCM_DTR}, {"RTS", p.RTS, unix.TIOCM_RTS}} {
		if err := setLevel(fd, line.want, line.bit); err != nil {
			return fmt.Errorf("this port has no line %s that can be set (%w): %w", line.name, err, gateway.ErrInvalid)
		}
	}
	// What came at another rate, or before, is noise.
	if err := unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIOFLUSH); err != nil {
		return fmt.Errorf("the port cannot be emptied: %w: %w", err, gateway.ErrUnavailable)
	}
	// Keeps others out, but for root; the lock keeps out those who ask.
	if err := unix.IoctlSetInt(fd, unix.TIOCEXCL, 0); err != nil {
		return fmt.Errorf("the port cannot be made exclusive: %w: %w", err, gateway.ErrUnavailable)
	}
	return nil
}

// setBaud sets any rate (termios2) and holds what the driver made of it against
// the 2.5 % that a receiver can bear.
func setBaud(fd, baud int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
	if err != nil {
		return fmt.Errorf("the rate cannot be read: %w: %w", err, gateway.ErrUnavailable)
	}
	if int(t.Ospeed) != baud {
		t.Cflag = t.Cflag&^(unix.CBAUD|unix.CIBAUD) | unix.BOTHER
		t.Ispeed, t.Ospeed = uint32(baud), uint32(baud)
		if err := unix.IoctlSetTermios(fd, unix.TCSETS2, t); err != nil {
			return fmt.Errorf("the rate %d cannot be set: %w: %w", baud, err, gateway.ErrInvalid)
		}
		if t, err = unix.IoctlGetTermios(fd, unix.TCGETS2); err != nil {
			return fmt.Errorf("the rate cannot be read: %w: %w", err, gateway.ErrUnavailable)
		}
	}
	if off := max(int(t.Ospeed), baud) - min(int(t.Ospeed), baud); off*40 > baud {
		return fmt.Errorf("the port cannot do %d baud, it would run at %d; set another rate in the device and in baud: %w", baud, t.Ospeed, gateway.ErrInvalid)
	}
	return nil
}

func setLevel(fd int, want string, bit int) error {
	switch want {
	case On:
		return unix.IoctlSetPointerInt(fd, unix.TIOCMBIS, bit)
	case Off:
		return unix.IoctlSetPointerInt(fd, unix.TIOCMBIC, bit)
	default:
		return nil
	}
}

// rs485 is struct serial_rs485 of linux/serial.h, with the flags below.
type rs485 struct {
	flags         uint32
	before, after uint32 // in ms
	_             [5]uint32
}

const (
	rs485Enabled    = 1 << 0
	rs485HighOnSend = 1 << 1
	rs485HighAfter  = 1 << 2
	rs485Hear       = 1 << 4
)

func (c *RS485Config) kernel() rs485 {
	k := rs485{
		flags:  rs485Enabled,
		before: uint32(c.Before / time.Millisecond), after: uint32(c.After / time.Millisecond),
	}
	if c.Send == "low" {
		k.flags |= rs485HighAfter
	} else {
		k.flags |= rs485HighOnSend
	}
	if c.Hear {
		k.flags |= rs485Hear
	}
	return k
}

// set asks for RS-485, returns what was set before, and reads back what the
// driver really does: it drops what it cannot do without an error.
func (c *RS485Config) set(fd int) (before rs485, err error) {
	want := c.kernel()
	got := want
	err = before.ask(fd, unix.TIOCGRS485)
	if err == nil {
		err = got.ask(fd, unix.TIOCSRS485)
	}
	if err == nil {
		err = got.ask(fd, unix.TIOCGRS485)
	}
	if err != nil {
		return before, fmt.Errorf("this port cannot switch a transceiver (%w); if the adapter does so by itself, leave rs485 out: %w", err, gateway.ErrInvalid)
	}
	if got != want {
		_ = before.ask(fd, unix.TIOCSRS485)
		return before, fmt.Errorf("this port cannot switch a transceiver as rs485 says: it would set flags %#x and pauses of %d and %d ms instead of %#x, %d and %d: %w",
			got.flags, got.before, got.after, want.flags, want.before, want.after, gateway.ErrInvalid)
	}
	return before, nil
}

func (k *rs485) ask(fd int, request uintptr) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(k))); errno != 0 {
		return errno
	}
	return nil
}
