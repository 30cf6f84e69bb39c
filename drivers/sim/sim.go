// Package sim is a board that is not there: a climate that drifts through the
// day, a counter, a door that is opened now and then, and a relay. It is for
// trying things out without wires, and for tests.
//
// Readings:
//
//	temperature  Cel   around the configured value, warmest at 15:00 UTC
//	humidity     %RH   falls as the temperature rises, within 0 to 100
//	count              grows by about 6 a minute, and never falls
//	door_open          true for some 20 s about every five minutes
//	relay              what the actions below have made of it
package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// Config of a simulated board.
type Config struct {
	Seed        int     `yaml:"seed" doc:"The same seed gives the same weather for readings at the same times; 0 gives another each time." default:"1" min:"0"`
	Temperature float64 `yaml:"temperature" doc:"What the temperature drifts around, in Cel." default:"21" min:"-40" max:"85"`
	Noise       float64 `yaml:"noise" doc:"Standard deviation of a single measurement, in Cel." default:"0.1" min:"0" max:"10"`
	Safe        string  `yaml:"safe" doc:"State that the relay takes at start and stop; keep leaves it as it is." default:"off" oneof:"off|on|keep"`
	Actuations  string  `yaml:"actuations" doc:"File that gets a line for each thing that the board has really done: time, command, action, detail." example:"/tmp/actuations"`
}

// Quantities are what the board measures, each with a value of its kind.
func (Config) Quantities() map[string]gateway.Value {
	number, state := gateway.Number(0), gateway.Bool(false)
	return map[string]gateway.Value{"temperature": number, "humidity": number, "count": number, "door_open": state, "relay": state}
}

// Dev is a simulated board.
type Dev struct {
	config  Config
	now     func() time.Time
	journal *journal
	// acting is held by whoever switches the relay, a pulse for as long as it
	// lasts.
	acting chan struct{}

	mu      sync.Mutex // guards the rest
	open    bool
	weather *weather
	relay   bool
}

// New returns a board whose relay is off. Open switches it on.
func New(c Config) (*Dev, error) { return at(c, time.Now), nil }

func at(c Config, now func() time.Time) *Dev {
	return &Dev{
		config: c, now: now, journal: &journal{now: now}, acting: make(chan struct{}, 1),
		weather: newWeather(c, now()),
	}
}

// Open implements gateway.Opener. The relay stays as it is.
func (d *Dev) Open(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("simulated board: %w", err)
	}
	if err := d.journal.open(d.config.Actuations); err != nil {
		return err
	}
	d.setOpen(true)
	return nil
}

func (d *Dev) setOpen(open bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = open
}

// ready says why a board that is not open cannot be used; mu is held.
func (d *Dev) ready() error {
	if d.open {
		return nil
	}
	return fmt.Errorf("simulated board: it is not open: %w", gateway.ErrUnavailable)
}

// Read implements gateway.Sensor.
func (d *Dev) Read(ctx context.Context) ([]gateway.Reading, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("simulated board: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.ready(); err != nil {
		return nil, err
	}
	w := d.weather.at(d.now())
	return []gateway.Reading{
		{Name: "temperature", Value: gateway.Number(w.temperature), Unit: "Cel"},
		{Name: "humidity", Value: gateway.Number(w.humidity), Unit: "%RH"},
		{Name: "count", Value: gateway.Number(float64(w.count))},
		{Name: "door_open", Value: gateway.Bool(w.door)},
		{Name: "relay", Value: gateway.Bool(d.relay)},
	}, nil
}

// Close implements gateway's contract of drivers; it may be called twice.
func (d *Dev) Close() error {
	d.setOpen(false)
	return d.journal.close()
}

// begin waits until nobody else switches the relay.
func (d *Dev) begin(ctx context.Context) error {
	d.mu.Lock()
	err := d.ready()
	d.mu.Unlock()
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil { // select alone would choose at random
		return fmt.Errorf("nothing was switched: %w", err)
	}
	select {
	case d.acting <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errors.Join(errors.New("the relay is in the middle of a pulse"), ctx.Err())
	}
}

func (d *Dev) end() { <-d.acting }

// set switches the relay and returns what it was.
func (d *Dev) set(on bool) (before bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, d.relay = d.relay, on
	return before
}
