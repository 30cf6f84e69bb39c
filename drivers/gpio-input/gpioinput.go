// Package gpioinput watches one GPIO line: a contact, a motion detector, a
// button, or the pulses of a meter.
//
// Readings of the kinds that have a state, at each change at once, and every
// report_every:
//
//	active    kind input: the line is active
//	open      kind contact: the contact is open, the line pulled up
//	motion    kind pir: the detector has its output high
//	pressed   kind button: the line is pulled to ground
//
// Readings of the kind counter, every report_every:
//
//	rate        Hz    pulses per second since the report before
//	flow        l/s   the same in the unit of a pulse: flow of l; flow in m3/h of
//	                  m3; power in W or kW of Wh or kWh; speed in m/s of m;
//	                  intensity in mm/h of mm (rain)
//	count             pulses since the counter was new, over restarts
//	total       unit  start + count × per_pulse
//
// Pulses are counted by the kernel's numbers of the edges, so that none is lost
// while the gateway is busy; but one that comes before the kernel itself has noted
// the one before is lost to it, unseen, as can happen on a busy board with several
// cores. With debounce a pulse is counted when the line has settled. A count is
// written to the card at most every save_every, and at the end, and is told only when
// it is safe there: what was told never goes back, and a power cut costs what came
// since the count that was told last.
//
// Both kinds, when it happens:
//
//	edges_lost        changes that came faster than they could be taken, so that
//	                  a state in between may not have been told
package gpioinput

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/gpiochip"
	"github.com/fieldpost/fieldpost/gateway"
)

// Config of an input.
type Config struct {
	bus.LineConfig

	Kind        string         `yaml:"kind" doc:"What is at the line; it decides the name of the reading and what the next three keys mean when they are left out." default:"input" oneof:"input|contact|pir|button|counter"`
	ActiveLow   *bool          `yaml:"active_low" doc:"The input is active while the line is low. Left out: true for a button and a counter, false otherwise." example:"true"`
	Pull        string         `yaml:"pull" doc:"Resistor in the chip that holds an open line; many chips other than a board's own have none. Left out: up for a contact, a button and a counter, down for pir, as it is otherwise." oneof:"up|down|none"`
	Debounce    *time.Duration `yaml:"debounce" doc:"A change counts when the line has been still for so long. Left out: 30ms; 0s for a counter, which is right for electronic pulses but not for reed contacts." min:"0s" max:"10s" example:"20ms"`
	ReportEvery time.Duration  `yaml:"report_every" doc:"The state, or the rate, is told at least this often." default:"1m" min:"1s" max:"24h"`

	PerPulse  float64       `yaml:"per_pulse" doc:"Of a counter: what one pulse stands for, in unit." default:"0" min:"0" example:"0.0022"`
	Unit      string        `yaml:"unit" doc:"Of a counter: unit of per_pulse." oneof:"l|m3|Wh|kWh|mm|m" example:"m3"`
	Start     float64       `yaml:"start" doc:"Of a counter: total when count was 0, such as what the dial of the meter showed." default:"0"`
	SaveEvery time.Duration `yaml:"save_every" doc:"Of a counter: a count that has changed is written to the card, and told, with the first report after so long." default:"10m" min:"1m" max:"24h"`
}

// Period is how often something is said at least.
func (c Config) Period() time.Duration { return c.ReportEvery }

// Validate checks what no tag can say.
func (c Config) Validate() error {
	errs := []error{c.LineConfig.Validate()}
	if c.Kind != counter && (c.PerPulse != 0 || c.Unit != "" || c.Start != 0) {
		errs = append(errs, &gateway.FieldError{Field: "kind", Problem: "per_pulse, unit and start are for kind: counter"})
	}
	if (c.PerPulse == 0) != (c.Unit == "") {
		errs = append(errs, &gateway.FieldError{Field: "per_pulse", Problem: "want per_pulse and unit, or neither"})
	}
	if c.Start != 0 && c.Unit == "" {
		errs = append(errs, &gateway.FieldError{Field: "start", Problem: "a total needs per_pulse and unit, too"})
	}
	return errors.Join(errs...)
}

// Dev is an input.
type Dev struct {
	config Config
	nature nature
	buses  *bus.Set
	tally  tally

	mu sync.Mutex // guards in; settler is owned by Run
	in *bus.Input // nil if it is not open
	// settler is that of the open line, from one Run to the next: the kernel keeps
	// the edges in between. It is nil before the first.
	settler *settler
}

// New returns an input whose line is not touched before Open.
func New(c Config, buses *bus.Set) (*Dev, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Dev{config: c, nature: c.nature(), buses: buses}, nil
}

// Remember implements gateway.Rememberer.
func (d *Dev) Remember(m gateway.Memory) { d.tally.memory = m }

// Open implements gateway.Opener.
func (d *Dev) Open(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.in != nil {
		return nil
	}
	if d.config.Kind == counter {
		if err := d.tally.load(); err != nil {
			return err
		}
	}
	in, err := d.buses.Input(d.config.LineConfig, bus.InputOptions{
		ActiveLow: d.nature.activeLow, Pull: d.nature.pull, Edges: d.edges(),
	})
	if err != nil {
		return err
	}
	d.in, d.settler = in, nil
	return nil
}

// edges are those that are needed: of pulses that do not bounce, one each.
func (d *Dev) edges() gpiochip.EdgeKind {
	if d.config.Kind == counter && d.nature.debounce == 0 {
		return gpiochip.ActiveEdges
	}
	return gpiochip.BothEdges
}

// Run implements gateway.Stream.
func (d *Dev) Run(ctx context.Context, sink gateway.Sink) error {
	d.mu.Lock()
	in := d.in
	d.mu.Unlock()
	if in == nil {
		return bus.ErrNotOpen
	}
	level, err := in.Level()
	if err != nil {
		return err
	}
	if d.settler == nil {
		d.settler = &settler{still: d.nature.debounce, state: level}
	}
	w, state := newWatch(d, in), d.settler.state
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan error, 1)
	var watcher sync.WaitGroup
	watcher.Go(func() { watched <- w.run(ctx) })
	defer watcher.Wait()
	defer cancel()
	r := report{dev: d, watch: w, sink: sink}
	return r.run(ctx, state, watched)
}

// Close saves the count and gives the line back. It may be called twice.
func (d *Dev) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	if d.in != nil {
		errs = append(errs, d.in.Close())
		d.in = nil
	}
	return errors.Join(append(errs, d.tally.save())...)
}
