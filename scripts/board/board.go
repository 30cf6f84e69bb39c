// Package board is what a test on the host and the program that is init on the
// emulated board say to each other, by net/rpc: the board dials the host and
// serves, so that no port needs to be chosen and the call says that it is up.
//
// The board is one of QEMU's arm64 machines with Debian's kernel. What sits on its buses
// is played by programs, but everything between them and fieldpost is real: the
// kernel's I2C core and its drivers of chips, its GPIO character device, its USB
// serial ports.
package board

import "time"

// HostVariable is where init finds the address that it dials; the kernel passes
// on what it does not know of its command line.
const HostVariable = "host"

// File is a file on the board, also one of sysfs or configfs. A path that ends
// in / is a directory.
type File struct {
	Path string
	Data []byte
}

// Toggle writes two texts to a file in turn, as a contact that bounces or a meter
// that gives pulses does with the level of a line.
type Toggle struct {
	Path   string
	Texts  [2]string
	Times  int           // writes in all
	Period time.Duration // between two of them
}

// Mount is a file system to mount.
type Mount struct{ Kind, Source, At string }

// Lines are handed in at a socket of the driver ingest; the answers come back.
type Lines struct {
	Socket string
	Lines  []string
}

// Program is a program to run on the board.
type Program struct {
	Path string
	Args []string
	// Within is how long it may take; without it a minute.
	Within time.Duration
}

// Ended is how a program has ended.
type Ended struct {
	Code   int
	Output string // both streams
}

// Chip is something at an address of a bus.
type Chip struct {
	Bus     int
	Address uint16
	Kind    string // empty: none any more
}

// Pins are those of an expander, bit 0 is GPA0.
type Pins struct {
	Bus     int
	Address uint16
	In      uint16 // what drives the inputs
}

// Fault is what befalls the transfers of a chip, or those of a whole bus.
type Fault struct {
	Bus     int
	Address uint16 // 0: any
	Kind    string // NoAnswer, Stuck; empty: none any more
}

// The kinds of Fault.
const (
	NoAnswer = "no answer" // nobody acknowledges the address
	Stuck    = "stuck"     // the transfer does not end
)

// SerialPort is the name of the serial adapter on USB while it is plugged in.
const SerialPort = "/dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_1-if00-port0"
