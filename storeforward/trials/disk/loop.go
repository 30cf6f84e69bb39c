package disk

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// loop is a loop device. The kernel takes it away by itself when nobody has it
// open any more, in whichever way this process ends.
type loop struct {
	path string
	file *os.File
}

// attach makes a loop device of a file.
func attach(image string) (*loop, error) {
	ctl, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = ctl.Close() }()
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // the device keeps it open
	var l *loop
	err = retry(func() (err error) { // others may be after the same device
		l, err = take(ctl, f)
		return err
	})
	return l, err
}

// take makes a loop device of a file of the next number that is free.
func take(ctl, image *os.File) (*loop, error) {
	n, err := unix.IoctlRetInt(int(ctl.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return nil, fmt.Errorf("a free loop device: %w", err)
	}
	l := &loop{path: fmt.Sprintf("/dev/loop%d", n)}
	if l.file, err = os.OpenFile(l.path, os.O_RDWR, 0); err != nil {
		return nil, err
	}
	config := unix.LoopConfig{Fd: uint32(image.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
	if err := unix.IoctlLoopConfigure(int(l.file.Fd()), &config); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", l.path, err), l.file.Close())
	}
	return l, nil
}

// close leaves the device to whoever still has it open.
func (l *loop) close() error { return l.file.Close() }

// detach waits until nobody has the device any more, so that all is written.
func (l *loop) detach() error {
	err := l.close()
	return errors.Join(err, retry(func() error {
		_, err := os.Stat("/sys/block/" + l.path[len("/dev/"):] + "/loop/backing_file")
		if err == nil {
			return fmt.Errorf("%s: %w", l.path, unix.EBUSY)
		}
		return nil
	}))
}
