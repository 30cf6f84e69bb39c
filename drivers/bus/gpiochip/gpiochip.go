// Package gpiochip uses GPIO lines through the kernel's character device, in
// version 2 of its interface (Linux 5.10 and later).
//
// It speaks to the kernel by itself, and not by periph's gpioioctl, because that
// makes a line an output first and sets its level afterwards, so that a relay
// that is on at a low level would click at each start; it also can neither leave
// an output as it is, nor tell how many edges the kernel has dropped, nor reach a
// line without a name in a set, and a read that fails looks like a low level.
//
// All levels here are logical: active or not. With ActiveLow a line is active
// while its voltage is low.
//
// Source: https://docs.kernel.org/userspace-api/gpio/chardev.html and
// linux/gpio.h of the kernel.
package gpiochip

import (
	"context"
	"time"
)

// Board is what has GPIO chips: the kernel, or a simulated one in tests.
type Board interface {
	// Chips lists the chips with their lines as they are now. Those that cannot be
	// read are named by the error; the others come all the same.
	Chips() ([]Chip, error)
	// Request takes a line for the gateway alone, until it is closed. The chip is
	// given by its name.
	Request(chip string, offset int, c Config) (Line, error)
}

// Chip is a GPIO chip.
type Chip struct {
	// Name is that of its device file, such as "gpiochip0"; it can differ from one
	// start of the kernel to the next.
	Name string
	// Label says what chip it is, such as "pinctrl-bcm2711".
	Label string
	// Lines by their offsets.
	Lines []LineInfo
}

// LineInfo is a line as the kernel describes it.
type LineInfo struct {
	// Name, such as "GPIO17"; empty if it has none.
	Name string
	// Used lines belong to somebody else; Consumer says to whom, if known.
	Used     bool
	Consumer string
	// Output lines are driven by the board.
	Output bool
}

// Direction says what becomes of a line when it is requested.
type Direction uint8

const (
	// AsIs leaves the line alone: whatever drove it still does.
	AsIs Direction = iota
	// Input makes it an input.
	Input
	// Output makes it an output, at Config.Level from the first moment.
	Output
)

// Pull is the resistor of an input within the chip.
type Pull uint8

const (
	// PullAsIs leaves the resistor as it is.
	PullAsIs Pull = iota
	// PullNone switches it off.
	PullNone
	// PullUp pulls the voltage up.
	PullUp
	// PullDown pulls the voltage down.
	PullDown
)

// EdgeKind says which edges of an input are wanted.
type EdgeKind uint8

const (
	// NoEdges is for an input that is only read.
	NoEdges EdgeKind = iota
	// BothEdges are all changes.
	BothEdges
	// ActiveEdges are the changes from not active to active.
	ActiveEdges
)

// Config of a line that is requested.
type Config struct {
	// Consumer is who has the line, as others see it.
	Consumer  string
	ActiveLow bool
	Direction Direction
	// Level of an output.
	Level bool
	// Pull and Edges are for inputs alone.
	Pull  Pull
	Edges EdgeKind
}

// Line is a line that was requested. One goroutine at a time may use Edges;
// otherwise it is safe for concurrent use.
//
// Errors wrap gateway.ErrUnavailable if the line is gone.
type Line interface {
	// Level reads the line. It does not change its direction.
	Level() (active bool, err error)
	// Drive makes the line an output with this level, without another in between.
	Drive(active bool) error
	// Edges waits for edges and returns how many it has put into the slice, at least
	// what is there already; 0 if there was none until then (zero: for ever), or if
	// ctx has ended, with its error.
	Edges(ctx context.Context, until time.Time, into []Edge) (int, error)
	// Close gives the line back. What an output does then depends on its chip: it
	// stays as it is, or becomes an input.
	Close() error
}

// Edge is one change of an input.
type Edge struct {
	// Active is what the line was after it.
	Active bool
	At     time.Time
	// Seq numbers the edges of a line from 1 on, those included that the kernel
	// has dropped because nobody took them.
	Seq uint32
}

// EventBuffer is how many edges of a line the kernel keeps for whoever is slow
// to take them; it drops the oldest of more.
const EventBuffer = 1024
