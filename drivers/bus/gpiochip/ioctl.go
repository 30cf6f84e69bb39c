package gpiochip

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What linux/gpio.h names and package unix does not.
const (
	getChipInfo = 0x8044b401
	getLineInfo = unix.GPIO_V2_GET_LINEINFO_IOCTL
	getLine     = unix.GPIO_V2_GET_LINE_IOCTL
	setConfig   = 0xc110b40d
	getValues   = unix.GPIO_V2_LINE_GET_VALUES_IOCTL
	setValues   = unix.GPIO_V2_LINE_SET_VALUES_IOCTL

	flagUsed      = 1 << 0
	flagActiveLow = 1 << 1
	flagInput     = 1 << 2
	flagOutput    = 1 << 3
	flagRising    = 1 << 4 // from not active to active
	flagFalling   = 1 << 5
	flagPullUp    = 1 << 8
	flagPullDown  = 1 << 9
	flagPullNone  = 1 << 10
)

// ioctl asks the kernel for something about an open file. The file cannot be
// closed meanwhile, and its other readers do not change their ways.
func ioctl[T any](f syscall.Conn, request uint, argument *T) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno syscall.Errno
	err = conn.Control(func(fd uintptr) {
		for {
			//nolint:gosec // the kernel takes the address for as long as the call lasts
			_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, uintptr(request), uintptr(unsafe.Pointer(argument)))
			if errno != syscall.EINTR {
				return
			}
		}
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}

// request puts a Config into the terms of the kernel, for one line.
func (c Config) request(offset int) unix.GPIOV2LineRequest {
	r := unix.GPIOV2LineRequest{Num_lines: 1, Config: c.lineConfig()}
	r.Offsets[0] = uint32(offset)                    //nolint:gosec // the index of a line that was listed
	copy(r.Consumer[:len(r.Consumer)-1], c.Consumer) // a zero must follow
	if c.Edges != NoEdges {
		r.Event_buffer_size = EventBuffer
	}
	return r
}

func (c Config) lineConfig() unix.GPIOV2LineConfig {
	k := unix.GPIOV2LineConfig{Flags: c.flags()}
	if c.Direction == Output {
		k.Num_attrs = 1
		k.Attrs[0].Mask = 1
		k.Attrs[0].Attr.Id = unix.GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES
		k.Attrs[0].Attr.Flags = bit(c.Level) // a union: these are the values
	}
	return k
}

func (c Config) flags() uint64 {
	var flags uint64
	if c.ActiveLow {
		flags |= flagActiveLow
	}
	switch c.Direction {
	case AsIs:
		return flags
	case Output:
		return flags | flagOutput
	case Input:
		flags |= flagInput
	}
	switch c.Pull {
	case PullAsIs:
	case PullNone:
		flags |= flagPullNone
	case PullUp:
		flags |= flagPullUp
	case PullDown:
		flags |= flagPullDown
	}
	switch c.Edges {
	case NoEdges:
	case BothEdges:
		flags |= flagRising | flagFalling
	case ActiveEdges:
		flags |= flagRising
	}
	return flags
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
