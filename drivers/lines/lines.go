package lines

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/dialog"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of a device that sends lines.
type Config struct {
	bus.PortConfig
	dialog.Config
	Encoding     string            `yaml:"encoding" doc:"Encoding of the text." default:"utf-8" oneof:"utf-8|latin-1"`
	DecimalComma bool              `yaml:"decimal_comma" doc:"Whether numbers have a comma in place of the point." default:"false"`
	Send         map[string]string `yaml:"send" doc:"Texts that the action send may send, by their names, with their line ends." default:"{}"`
	Patterns     []Pattern         `yaml:"patterns" doc:"What lines look like. The first pattern that matches takes the line." required:"true"`
}

// Validate names every field at fault.
func (c Config) Validate() error {
	errs := []error{c.PortConfig.Validate(), c.Config.Validate()}
	if len(c.Patterns) == 0 {
		errs = append(errs, &gateway.FieldError{Field: "patterns", Problem: "is empty; want at least one pattern"})
	}
	for name := range c.Send {
		if !groupShape.MatchString(name) {
			errs = append(errs, &gateway.FieldError{Field: "send." + name, Problem: "the name of a text is made of small letters, digits and _"})
		}
	}
	for i, p := range c.Patterns {
		_, err := p.compile(fmt.Sprintf("patterns[%d]", i))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Quantities are the groups of the patterns, and what is told of other lines.
func (c Config) Quantities() map[string]gateway.Value {
	all := dialog.Quantities()
	for _, p := range c.Patterns {
		m, _ := p.compile("") // Validate has told the fault
		for _, q := range m.groups {
			switch {
			case q.Name == "":
			case q.Type == "text":
				all[q.Name] = gateway.Text("")
			case q.Type == "bool":
				all[q.Name] = gateway.Bool(false)
			default:
				all[q.Name] = gateway.Number(0)
			}
		}
	}
	return all
}

// Dev is a device that sends lines.
type Dev struct {
	config Config
	buses  *bus.Set
	format format
	port   atomic.Pointer[bus.Port] // nil: not open
}

// New returns a device; its port is opened by Open.
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

// Open implements gateway.Opener.
func (d *Dev) Open(ctx context.Context) error {
	port, err := d.buses.Port(ctx, d.config.PortConfig)
	if err != nil {
		return err
	}
	d.port.Store(port)
	return nil
}

// Run implements gateway.Stream.
func (d *Dev) Run(ctx context.Context, sink gateway.Sink) error {
	port := d.port.Load()
	if port == nil {
		return bus.ErrNotOpen
	}
	return dialog.Run(ctx, port, d.config.Config, d.format.decode, sink)
}

// Close gives the port back.
func (d *Dev) Close() error {
	port := d.port.Swap(nil)
	if port == nil {
		return nil
	}
	return port.Close()
}
