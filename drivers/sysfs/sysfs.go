package sysfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/fieldpost/fieldpost/gateway"
)

// Config says what to watch beside the board itself.
type Config struct {
	Disks      []string `yaml:"disks" doc:"Mount points whose space and traffic are watched." default:"[/]" pattern:"^/" want:"an absolute path"`
	Interfaces []string `yaml:"interfaces" doc:"Network interfaces that are watched; if none is named, all that are up." default:"[]" pattern:"^[A-Za-z0-9][^/\\s]{0,14}$" want:"the name of an interface, such as eth0" example:"eth0"`
}

// Validate names what would give two readings one name.
func (c Config) Validate() error {
	return errors.Join(distinct("disks", c.Disks), distinct("interfaces", c.Interfaces))
}

func distinct(field string, names []string) error {
	seen := make(map[string]string)
	for _, name := range names {
		short := suffix(name)
		if other, twice := seen[short]; twice {
			return &gateway.FieldError{Field: field, Problem: fmt.Sprintf("%s and %s would give readings of one name; want only one of them", other, name)}
		}
		seen[short] = name
	}
	return nil
}

// Dev is the board.
type Dev struct {
	config Config
	root   string // of all paths; "/" but in tests
	statfs func(path string) (space, error)

	// busy is what the processor had done at the last Read.
	busy cpuTime
	// frozen notes that the last temperature was exactly 0.
	frozen bool
}

// New returns the board that this program runs on.
func New(c Config) (*Dev, error) { return open(c, "/", statfs) }

func open(c Config, root string, statfs func(string) (space, error)) (*Dev, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("sysfs: %w", err)
	}
	return &Dev{config: c, root: root, statfs: statfs, frozen: true}, nil
}

// Read implements gateway.Sensor.
func (d *Dev) Read(ctx context.Context) ([]gateway.Reading, error) {
	var all []gateway.Reading
	var errs []error
	for _, part := range []func() ([]gateway.Reading, error){
		d.temperature, d.load, d.cpu, d.memory, d.uptime, d.disks, d.networks, d.power,
	} {
		if err := ctx.Err(); err != nil {
			errs = append(errs, err)
			break
		}
		readings, err := part()
		all = append(all, readings...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	return all, errors.Join(errs...)
}

func (d *Dev) path(parts ...string) string {
	return filepath.Join(append([]string{d.root}, parts...)...)
}

// text reads a file; a file that is not there has ok false and no error, and
// so has one whose device has just gone.
func (d *Dev) text(parts ...string) (text string, ok bool, err error) {
	data, err := os.ReadFile(d.path(parts...))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENODEV):
		return "", false, nil
	case err != nil:
		return "", false, err
	}
	return strings.TrimSpace(string(data)), true, nil
}

// located says in which file a fault is.
func (d *Dev) located(err error, parts ...string) error {
	return fmt.Errorf("%s: %w", d.path(parts...), err)
}

// suffix is the last part of a reading's name, made of a mount point or an
// interface.
func suffix(name string) string {
	name = strings.Trim(strings.ToLower(name), "/")
	if name == "" {
		return "root"
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '_'
	}, name)
}

func number(name string, value float64, unit string) gateway.Reading {
	return gateway.Reading{Name: name, Value: gateway.Number(value), Unit: unit}
}

func state(name string, value bool) gateway.Reading {
	return gateway.Reading{Name: name, Value: gateway.Bool(value)}
}
