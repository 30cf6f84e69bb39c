package lines

import (
	"context"
	"errors"
	"fmt"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/dialog"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of a device that sends lines.
type Config struct {
	bus.PortConfig
	dialog.Config
	Encoding     string    `yaml:"encoding" doc:"Encoding of the text." default:"utf-8" oneof:"utf-8|latin-1"`
	DecimalComma bool      `yaml:"decimal_comma" doc:"Whether numbers have a comma in place of the point." default:"false"`
	Patterns     []Pattern `yaml:"patterns" doc:"What lines look like. The first pattern that matches takes the line." required:"true"`
}

// Validate names every field at fault.
func (c Config) Validate() error {
	errs := []error{c.PortConfig.Validate(), c.Config.Validate()}
	if len(c.Patterns) == 0 {
		errs = append(errs, &gateway.FieldError{Field: "patterns", Problem: "is empty; want at least one pattern"})
	}
	for i, p := range c.Patterns {
		_, err := p.compile(fmt.Sprintf("patterns[%d]", i))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Dev is a device that sends lines.
type Dev struct {
	config Config
	buses  *bus.Set
	format format
}

// New returns a device whose port is opened by Run.
func New(c Config, buses *bus.Set) (*Dev, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	d := &Dev{config: c, buses: buses, format: format{latin1: c.Encoding == "latin-1", comma: c.DecimalComma}}
	for _, p := range c.Patterns {
		matcher, err := p.compile("")
		if err != nil {
			return nil, err
		}
		d.format.matchers = append(d.format.matchers, matcher)
	}
	return d, nil
}

// Run implements gateway.Stream.
func (d *Dev) Run(ctx context.Context, sink gateway.Sink) (err error) {
	port, err := d.buses.Port(ctx, d.config.PortConfig)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, port.Close()) }()
	return dialog.Run(ctx, port, d.config.Config, d.format.decode, sink)
}
