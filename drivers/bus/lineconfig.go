package bus

import (
	"strconv"

	"github.com/fieldpost/fieldpost/gateway"
)

// LineConfig are the keys by which a device on one GPIO line names it.
type LineConfig struct {
	Line string `yaml:"line" doc:"Name of the GPIO line, as gpioinfo lists it, or its offset on the chip." required:"true" example:"GPIO17"`
	Chip string `yaml:"chip" doc:"Label or name of the GPIO chip, as gpiodetect lists it; needed only with an offset, or if several chips have a line of this name. Labels stay, names such as gpiochip0 can change with the kernel." example:"pinctrl-bcm2711"`
}

// Places implements Placed.
func (c LineConfig) Places() []Place { return []Place{AtLine(c)} }

// Validate refuses an offset without a chip: it would mean another line on each.
func (c LineConfig) Validate() error {
	if _, isOffset := c.offset(); isOffset && c.Chip == "" {
		return &gateway.FieldError{Field: "line", Problem: "the offset " + c.Line + " counts the lines of one chip; want chip, too, or the name of a line, such as GPIO17"}
	}
	return nil
}

// AtLine is a GPIO line.
func AtLine(c LineConfig) Place {
	if c.Chip == "" {
		return Place{At: c.Line}
	}
	return Place{At: c.Chip + " line " + c.Line}
}

func (c LineConfig) offset() (offset int, ok bool) {
	n, err := strconv.ParseUint(c.Line, 10, 16)
	return int(n), err == nil
}
