package jsonlines

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/dialog"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of a device that sends JSON.
type Config struct {
	bus.PortConfig
	dialog.Config
	Take     string              `yaml:"take" doc:"Which members become readings: those that are listed in readings, or all." default:"listed" oneof:"listed|all"`
	Readings map[string]Quantity `yaml:"readings" doc:"What members are, by their paths, such as air.temp or relays.0." default:"{}"`
}

// Quantity is what a member stands for.
type Quantity struct {
	Name string `yaml:"name" doc:"Name of the reading; left out: the path in lower case." default:"" pattern:"^([a-z][a-z0-9_]*(\\.[A-Za-z0-9_.-]+)?)?$" want:"small letters, digits and _, then perhaps a dot and what it is of"`
	Type string `yaml:"type" doc:"Type of the value: any takes it as it is, number takes digits in quotes too, bool takes 0 and 1 too, text takes everything." default:"any" oneof:"any|number|text|bool"`
	Unit string `yaml:"unit" doc:"Unit of a number, as a UCUM code such as Cel, kg, m/s." default:""`
}

// Validate names every field at fault.
func (c Config) Validate() error {
	errs := []error{c.PortConfig.Validate(), c.Config.Validate()}
	if c.Take != "all" && len(c.Readings) == 0 {
		errs = append(errs, &gateway.FieldError{Field: "readings", Problem: "is empty; want the members that become readings, or take: all"})
	}
	taken := make(map[string]string)
	for _, path := range slices.Sorted(maps.Keys(c.Readings)) {
		q := c.Readings[path]
		name := q.nameOf(path)
		if other, twice := taken[name]; twice {
			errs = append(errs, &gateway.FieldError{Field: "readings." + path, Problem: fmt.Sprintf("gives a reading %s as %s does; want a name for each", name, other)})
		}
		taken[name] = path
		if q.Unit != "" && (q.Type == "text" || q.Type == "bool") {
			errs = append(errs, &gateway.FieldError{Field: "readings." + path, Problem: fmt.Sprintf("a %s has no unit; want type: number, or no unit", q.Type)})
		}
	}
	return errors.Join(errs...)
}

// Quantities are the readings that are listed, and what is told of other lines. They
// are not known before if members are taken that are not listed, or of any type.
func (c Config) Quantities() map[string]gateway.Value {
	if c.Take == "all" {
		return nil
	}
	all := dialog.Quantities()
	for path, q := range c.Readings {
		switch q.Type {
		case "number":
			all[q.nameOf(path)] = gateway.Number(0)
		case "bool":
			all[q.nameOf(path)] = gateway.Bool(false)
		case "text":
			all[q.nameOf(path)] = gateway.Text("")
		default:
			return nil
		}
	}
	return all
}

// Dev is a device that sends JSON.
type Dev struct {
	config Config
	buses  *bus.Set
}

// New returns a device whose port is opened by Run.
func New(c Config, buses *bus.Set) (*Dev, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Dev{config: c, buses: buses}, nil
}

// Run implements gateway.Stream.
func (d *Dev) Run(ctx context.Context, sink gateway.Sink) (err error) {
	port, err := d.buses.Port(ctx, d.config.PortConfig)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, port.Close()) }()
	return dialog.Run(ctx, port, d.config.Config, d.config.decode, sink)
}
