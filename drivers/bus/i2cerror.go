package bus

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/fieldpost/fieldpost/gateway"
)

// ErrNoAnswer is that nobody acknowledged the address. It is a kind of
// gateway.ErrUnavailable.
var ErrNoAnswer = fmt.Errorf("no answer: %w", gateway.ErrUnavailable)

// errArbitration is that the wires did not have the level that the board gave them.
var errArbitration = fmt.Errorf("the bus was lost to somebody else (arbitration); check for noise and a second controller: %w", gateway.ErrUnavailable)

// errGone is that the kernel has no such bus any more: an adapter on USB was
// unplugged.
var errGone = fmt.Errorf("the bus is gone; was its adapter unplugged? %w", gateway.ErrUnavailable)

// explain gives the errors of I2C adapters a meaning. Which errno stands for
// what differs by adapter: Documentation/i2c/fault-codes.rst of the kernel.
// periph passes them on as text only.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case isErrno(err, syscall.EREMOTEIO), isErrno(err, syscall.ENXIO):
		return ErrNoAnswer
	case isErrno(err, syscall.ENODEV):
		return errGone
	case isErrno(err, syscall.ETIMEDOUT):
		return fmt.Errorf("the bus has timed out; is a wire held low, or without pull-up? %w: %w", gateway.ErrTimeout, gateway.ErrUnavailable)
	case isErrno(err, syscall.EAGAIN):
		return errArbitration
	case isErrno(err, syscall.EIO):
		return fmt.Errorf("the transfer has failed; check wires, pull-ups and the speed of the bus: %w", gateway.ErrUnavailable)
	default:
		return err
	}
}

func isErrno(err error, errno syscall.Errno) bool {
	return errors.Is(err, errno) || strings.HasSuffix(err.Error(), errno.Error())
}
