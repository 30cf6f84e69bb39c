package drivertest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/fieldpost/fieldpost/drivers/bus/gpiochip"
	"github.com/fieldpost/fieldpost/gateway"
)

// GPIO is a board of simulated GPIO chips, for bus.Hardware.
type GPIO []*Chip

var _ gpiochip.Board = GPIO(nil)

// Chips implements gpiochip.Board.
func (g GPIO) Chips() (chips []gpiochip.Chip, err error) {
	for _, c := range g {
		if info, there := c.info(); there {
			chips = append(chips, info)
		}
	}
	return chips, nil
}

// Request implements gpiochip.Board.
func (g GPIO) Request(chip string, offset int, c gpiochip.Config) (gpiochip.Line, error) {
	for _, candidate := range g {
		if candidate.name == chip {
			return candidate.request(offset, c)
		}
	}
	return nil, fmt.Errorf("there is no chip %s: %w", chip, gateway.ErrUnavailable)
}

// Chip is a simulated GPIO chip. Seen from outside, where the wires are, its
// levels are high or low.
type Chip struct {
	name, label string

	mu    sync.Mutex
	gone  bool
	wires []*wire // by offset
}

// wire is one line of a chip.
type wire struct {
	name      string
	consumer  string // of somebody else
	owner     *line  // who has requested it
	requested gpiochip.Config
	output    bool
	high      bool // as it is driven: by the chip if output, from outside otherwise
	outside   bool // what is driven from outside
	history   []bool
	written   func(high bool) // is called each time the chip drives it
	fault     func() error    // why it cannot be driven
}

// NewChip has lines with these names; a name may be empty.
func NewChip(name, label string, lines ...string) *Chip {
	c := &Chip{name: name, label: label}
	for _, l := range lines {
		c.wires = append(c.wires, &wire{name: l})
	}
	return c
}

func (c *Chip) info() (gpiochip.Chip, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info := gpiochip.Chip{Name: c.name, Label: c.label}
	for _, w := range c.wires {
		l := gpiochip.LineInfo{Name: w.name, Used: w.owner != nil || w.consumer != "", Consumer: w.consumer, Output: w.output}
		if w.owner != nil {
			l.Consumer = w.owner.config.Consumer
		}
		info.Lines = append(info.Lines, l)
	}
	return info, !c.gone
}

func (c *Chip) request(offset int, config gpiochip.Config) (gpiochip.Line, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch w := c.wires[offset]; {
	case c.gone:
		return nil, errGone
	case w.owner != nil || w.consumer != "":
		return nil, fmt.Errorf("line %d is busy: %w", offset, gateway.ErrUnavailable)
	default:
		l := &line{chip: c, wire: w, config: config, arrived: make(chan struct{}, 1)}
		w.owner, w.requested = l, config
		switch config.Direction {
		case gpiochip.AsIs:
		case gpiochip.Input:
			w.output, w.high = false, w.outside
		case gpiochip.Output:
			w.drive(config.Level != config.ActiveLow)
		}
		return l, nil
	}
}

var errGone = errors.Join(errors.New("the chip is gone"), gateway.ErrUnavailable)

// at finds a line by its name. It must be there.
func (c *Chip) at(name string) *wire {
	return c.wires[slices.IndexFunc(c.wires, func(w *wire) bool { return w.name == name })]
}

// Drive sets what a line is driven to from outside. If it is an input that
// changes, there is an edge.
func (c *Chip) Drive(name string, high bool) { c.drive(name, high, true) }

// DriveUnnoticed is a Drive whose edge is missed.
func (c *Chip) DriveUnnoticed(name string, high bool) { c.drive(name, high, false) }

func (c *Chip) drive(name string, high, noticed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.at(name)
	w.outside = high
	if w.output || w.high == high {
		return
	}
	w.high = high
	if w.owner != nil && noticed {
		w.owner.edge(high)
	}
}

// Level is what is measured at a line from outside.
func (c *Chip) Level(name string) (high bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at(name).high
}

// History has all levels to which the chip has driven a line, one after the
// other, also those that were so already.
func (c *Chip) History(name string) []bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.at(name).history)
}

// OnDrive has f called each time the chip drives a line, in the middle of it.
func (c *Chip) OnDrive(name string, f func(high bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at(name).written = f
}

// FailDrive has f asked before the chip drives a line; an error keeps it from
// that. nil ends it.
func (c *Chip) FailDrive(name string, f func() error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at(name).fault = f
}

// TakenBy has a line taken by somebody else, or by nobody if that is empty.
func (c *Chip) TakenBy(name, consumer string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at(name).consumer = consumer
}

// Requested is how a line was requested by who has it, or had it last.
func (c *Chip) Requested(name string) gpiochip.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at(name).requested
}

// Free reports whether nobody has any line of the chip.
func (c *Chip) Free() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !slices.ContainsFunc(c.wires, func(w *wire) bool { return w.owner != nil })
}

// Unplug takes the chip away. Who waits for edges waits on, as with many
// kernels; whatever else is asked of its lines fails, for good.
func (c *Chip) Unplug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
	for _, w := range c.wires {
		if w.owner != nil {
			w.owner.gone = true
			w.owner = nil
		}
		w.output = false
	}
}

// Plug brings the chip back, with lines that are inputs.
func (c *Chip) Plug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = false
}

// maxHistory bounds what is remembered of the levels of a line.
const maxHistory = 4096

func (w *wire) drive(high bool) {
	w.output, w.high = true, high
	if len(w.history) >= maxHistory {
		w.history = w.history[:copy(w.history, w.history[maxHistory/2:])]
	}
	w.history = append(w.history, high)
}
