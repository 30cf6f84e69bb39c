package bus

import (
	"fmt"
	"strings"

	"github.com/fieldpost/fieldpost/drivers/bus/gpiochip"
	"github.com/fieldpost/fieldpost/gateway"
)

// consumer is who has the lines of the gateway, as gpioinfo shows it.
const consumer = "fieldpost"

// InputOptions of a line that is read.
type InputOptions struct {
	// ActiveLow inputs are active while their voltage is low.
	ActiveLow bool
	Pull      gpiochip.Pull
	// Edges that are wanted, if any.
	Edges gpiochip.EdgeKind
}

// OutputOptions of a line that is driven.
type OutputOptions struct {
	// ActiveLow outputs are active while their voltage is low.
	ActiveLow bool
	// Initial level, from the first moment.
	Initial bool
	// Keep leaves the line as it is until it is first set; Initial counts for
	// nothing.
	Keep bool
}

// Input takes a line and makes it an input. Whoever takes it closes it.
func (s *Set) Input(c LineConfig, o InputOptions) (*Input, error) {
	line, err := s.line(c, gpiochip.Config{
		Direction: gpiochip.Input, ActiveLow: o.ActiveLow, Pull: o.Pull, Edges: o.Edges,
	})
	if err != nil {
		return nil, err
	}
	return &Input{line: line}, nil
}

// Output takes a line and makes it an output. Whoever takes it closes it.
func (s *Set) Output(c LineConfig, o OutputOptions) (*Output, error) {
	config := gpiochip.Config{Direction: gpiochip.Output, ActiveLow: o.ActiveLow, Level: o.Initial}
	if o.Keep {
		config.Direction = gpiochip.AsIs
	}
	line, err := s.line(c, config)
	if err != nil {
		return nil, err
	}
	out := &Output{line: line, active: o.Initial}
	if o.Keep {
		if out.active, err = line.Level(); err != nil {
			_ = line.Close() // the first error says more
			return nil, err
		}
	}
	return out, nil
}

// line finds a line and takes it. The kernel may take its time for one of an
// expander: no other device waits for that.
func (s *Set) line(c LineConfig, config gpiochip.Config) (gpiochip.Line, error) {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return nil, errClosed()
	}
	return s.request(c, config)
}

// request finds a line and takes it. Of two who ask for the same, the kernel
// gives it to one.
func (s *Set) request(c LineConfig, config gpiochip.Config) (gpiochip.Line, error) {
	chip, offset, err := s.findFree(c)
	if err != nil {
		return nil, err
	}
	config.Consumer = consumer
	return s.opts.Hardware.GPIO.Request(chip.Name, offset, config)
}

// findFree finds a line that nobody has.
func (s *Set) findFree(c LineConfig) (chip gpiochip.Chip, offset int, err error) {
	chips, unread := s.opts.Hardware.GPIO.Chips()
	chip, offset, err = find(chips, c)
	if err != nil {
		if unread != nil {
			err = fmt.Errorf("%w; besides: %w", err, unread)
		}
		return chip, offset, err
	}
	if info := chip.Lines[offset]; info.Used {
		return chip, offset, fmt.Errorf("%s is in use by %s: %w", placed(chip, offset), user(info.Consumer), gateway.ErrUnavailable)
	}
	return chip, offset, nil
}

func user(name string) string {
	switch name {
	case "":
		return "a driver of the kernel that does not say its name"
	case consumer:
		return "fieldpost itself; has another device the same line under another name?"
	}
	return fmt.Sprintf("%q (a driver of the kernel, or another program)", name)
}

// find looks for the line that a config names. It must be one alone.
func find(chips []gpiochip.Chip, c LineConfig) (chip gpiochip.Chip, offset int, err error) {
	if len(chips) == 0 {
		return chip, 0, fmt.Errorf("there is no GPIO chip (/dev/gpiochip*); the board has no GPIO lines, or its kernel no driver for them: %w", gateway.ErrUnavailable)
	}
	var among []gpiochip.Chip
	for _, candidate := range chips {
		if c.Chip == "" || c.Chip == candidate.Name || c.Chip == candidate.Label {
			among = append(among, candidate)
		}
	}
	if len(among) == 0 {
		return chip, 0, fmt.Errorf("there is no GPIO chip %q; want %s: %w", c.Chip, list(chips), gateway.ErrUnavailable)
	}
	var places []string
	for _, candidate := range among {
		for _, at := range offsets(candidate, c) {
			chip, offset = candidate, at
			places = append(places, placed(candidate, at))
		}
	}
	switch len(places) {
	case 0:
		return chip, 0, fmt.Errorf("no GPIO line is called %s on %s; gpioinfo lists them: %w", c.Line, list(among), gateway.ErrUnavailable)
	case 1:
		return chip, offset, nil
	}
	return chip, 0, fmt.Errorf("there is more than one GPIO line %s: %s; say which by chip and offset: %w", c.Line, strings.Join(places, ", "), gateway.ErrInvalid)
}

// offsets are where a chip has the line. A name that is a number is an offset.
func offsets(chip gpiochip.Chip, c LineConfig) (found []int) {
	if offset, is := c.offset(); is {
		if offset < len(chip.Lines) {
			found = append(found, offset)
		}
		return found
	}
	for offset, line := range chip.Lines {
		if line.Name == c.Line {
			found = append(found, offset)
		}
	}
	return found
}

func placed(chip gpiochip.Chip, offset int) string {
	where := fmt.Sprintf("line %d of %s (%s)", offset, chip.Name, chip.Label)
	if name := chip.Lines[offset].Name; name != "" {
		return name + ", " + where
	}
	return where
}

func list(chips []gpiochip.Chip) string {
	var all []string
	for _, c := range chips {
		all = append(all, fmt.Sprintf("%s (%s, %d lines)", c.Name, c.Label, len(c.Lines)))
	}
	return strings.Join(all, ", ")
}
