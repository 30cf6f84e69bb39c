package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// adapter is what the kernel has of an I2C bus in /sys.
type adapter struct {
	sys    string // "/sys" but in tests
	number int
}

func (a adapter) folder() string {
	return filepath.Join(a.sys, "bus", "i2c", "devices", fmt.Sprintf("i2c-%d", a.number))
}

// listed tells whether the kernel has the adapter.
func (a adapter) listed() bool {
	_, err := os.Stat(a.folder())
	return !errors.Is(err, fs.ErrNotExist)
}

// speed is the clock in Hz, as the device tree has it; 0 if it does not say.
func (a adapter) speed() int64 {
	b, err := os.ReadFile(filepath.Join(a.folder(), "of_node", "clock-frequency"))
	if err == nil && len(b) == 4 {
		return int64(binary.BigEndian.Uint32(b))
	}
	if a.pi() {
		return 100_000 // what i2c-bcm2835 takes then
	}
	return 0
}

// pi tells whether it is an adapter of a Raspberry Pi.
func (a adapter) pi() bool {
	b, err := os.ReadFile(filepath.Join(a.folder(), "of_node", "compatible"))
	return err == nil && (strings.Contains(string(b), "brcm,bcm2711-i2c") || strings.Contains(string(b), "brcm,bcm2835-i2c"))
}

// howToSet says what to write where for a speed.
func (a adapter) howToSet(hertz int64) string {
	const file = "into /boot/firmware/config.txt and restart the board"
	switch {
	case !a.pi():
		return fmt.Sprintf("the driver of this adapter sets it; with a device tree it is clock-frequency = <%d>", hertz)
	case a.number == 0:
		return fmt.Sprintf("write dtparam=i2c_vc_baudrate=%d %s", hertz, file)
	case a.number == 1:
		return fmt.Sprintf("write dtparam=i2c_arm_baudrate=%d %s", hertz, file)
	default:
		return fmt.Sprintf("write dtoverlay=i2c%d,baudrate=%d %s", a.number, hertz, file)
	}
}

// driver is the folder of the driver that serves the adapter, and the name under
// which it knows it.
func (a adapter) driver() (folder, device string, err error) {
	at, err := filepath.EvalSymlinks(a.folder())
	if err == nil {
		at = filepath.Dir(at)
		folder, err = filepath.EvalSymlinks(filepath.Join(at, "driver"))
	}
	if err != nil {
		return "", "", fmt.Errorf("the driver of i2c-%d is not found: %w: %w", a.number, err, gateway.ErrUnavailable)
	}
	return folder, filepath.Base(at), nil
}

// mayRebind says why the driver cannot be bound anew.
func (a adapter) mayRebind() error {
	folder, _, err := a.driver()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(folder, "unbind"), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("rebind needs root, and /sys to be writable (ProtectKernelTunables=no in the unit): %w: %w", err, gateway.ErrDenied)
	}
	return f.Close()
}

// unbind takes the adapter from its driver, and returns how to give it back. It
// does not come back while somebody has the bus open.
func (a adapter) unbind() (bind func() error, err error) {
	folder, device, err := a.driver()
	if err != nil {
		return nil, err
	}
	if err := tell(filepath.Join(folder, "unbind"), device); err != nil {
		return nil, err
	}
	return func() error { return tell(filepath.Join(folder, "bind"), device) }, nil
}

// tell writes to an attribute, which is there already.
func tell(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("rebind needs root, and /sys to be writable (ProtectKernelTunables=no in the unit): %w", err)
	}
	_, err = f.WriteString(text)
	if failed := f.Close(); err == nil {
		err = failed
	}
	return err
}
