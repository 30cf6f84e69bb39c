// Package pwm drives a PWM output of the kernel: a fan, a dimmer, a heater
// element behind a solid-state relay.
//
// Readings, what was last asked of the output:
//
//	duty        %    share of the period in which the output is active
//	frequency   Hz
//
// It uses /sys/class/pwm, and not periph's PWM, which writes into the registers of
// the processor behind the kernel's back: that needs root, takes clocks that the
// sound uses, and does not know every board.
//
// On a Raspberry Pi dtoverlay=pwm-2chan gives channels 0 and 1 of pwmchip0 on
// GPIO18 and GPIO19; without an overlay there is no chip, and no pin. The output
// goes on at its safe duty when the gateway has stopped: that is the kernel's.
//
// Source: Documentation/driver-api/pwm.rst and
// Documentation/ABI/testing/sysfs-class-pwm of the kernel.
package pwm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/attr"
	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
)

// Config of a PWM output. Frequencies that are left out are Frequency.
type Config struct {
	Chip         string           `yaml:"chip" doc:"PWM chip in /sys/class/pwm: pwmchipN, or the name of its device, which does not change with the kernel." required:"true" pattern:"^[A-Za-z0-9][A-Za-z0-9._:@-]*$" want:"a name such as pwmchip0 or fe20c000.pwm" example:"pwmchip0"`
	Channel      int              `yaml:"channel" doc:"Channel of the chip, from 0 on." default:"0" min:"0" max:"63"`
	Frequency    config.Frequency `yaml:"frequency" doc:"Frequency at the start. 25kHz for fans with four wires, 50Hz for servos." default:"1kHz" min:"1Hz" max:"10MHz"`
	MinFrequency config.Frequency `yaml:"min_frequency" doc:"Least frequency that a command may set. Left out: that of frequency." min:"1Hz" max:"10MHz"`
	MaxFrequency config.Frequency `yaml:"max_frequency" doc:"Highest frequency that a command may set. Left out: that of frequency." min:"1Hz" max:"10MHz"`
	MinDuty      float64          `yaml:"min_duty" doc:"Least duty in % that a command may set, for what does not run with less; the action off sets 0 all the same." default:"0" min:"0" max:"100"`
	MaxDuty      float64          `yaml:"max_duty" doc:"Highest duty in % that a command may set." default:"100" min:"0" max:"100"`
	SafeDuty     float64          `yaml:"safe_duty" doc:"Duty in % that is taken at start and stop, with the frequency at the start." default:"0" min:"0" max:"100"`
	Inverted     bool             `yaml:"inverted" doc:"The output is active while it is low." default:"false"`
}

// Places implements bus.Placed.
func (c Config) Places() []bus.Place {
	return []bus.Place{{At: fmt.Sprintf("%s channel %d", c.Chip, c.Channel)}}
}

// Look says whether its chip is there, without touching it.
func (c Config) Look() (found string, err error) { return c.look(sysfs) }

func (c Config) look(root string) (found string, err error) {
	if _, err := (&Dev{config: c, root: root}).chip(); err != nil {
		return "", err
	}
	return "its chip is there", nil
}

// Quantities are what is read of it.
func (Config) Quantities() map[string]gateway.Value {
	return map[string]gateway.Value{"duty": {}, "frequency": {}}
}

// Validate checks what no tag can say.
func (c Config) Validate() error {
	var errs []error
	if low, high := c.frequencies(); low > c.Frequency || high < c.Frequency {
		errs = append(errs, &gateway.FieldError{Field: "frequency", Problem: fmt.Sprintf("%d Hz is not within min_frequency and max_frequency", c.Frequency)})
	}
	if c.MinDuty > c.MaxDuty {
		errs = append(errs, &gateway.FieldError{Field: "min_duty", Problem: fmt.Sprintf("%v is above max_duty (%v)", c.MinDuty, c.MaxDuty)})
	}
	return errors.Join(errs...)
}

// frequencies are the bounds of what a command may set.
func (c Config) frequencies() (low, high config.Frequency) {
	low, high = c.Frequency, c.Frequency
	if c.MinFrequency > 0 {
		low = c.MinFrequency
	}
	if c.MaxFrequency > 0 {
		high = c.MaxFrequency
	}
	return low, high
}

const (
	// sysfs is where the kernel has its attributes.
	sysfs = "/sys"
	// grantTime is how long udev may take to give the files of a channel, which
	// belong to root when they are made, to the group of this user.
	grantTime  = 2 * time.Second
	grantRetry = 20 * time.Millisecond
)

// Dev is a PWM output.
type Dev struct {
	config Config
	root   string // sysfs, but in tests
	set    func(path, value string) error
	known  bus.Known

	mu  sync.Mutex // guards the rest
	out *channel   // nil if it is not open
	// What was written last.
	duty, frequency float64
}

// New returns an output that is not touched before Open.
func New(c Config) (*Dev, error) { return open(c, sysfs, attr.Set) }

func open(c Config, root string, set func(path, value string) error) (*Dev, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Dev{config: c, root: root, set: set}, nil
}

// Open implements gateway.Opener: the output takes its safe duty.
func (d *Dev) Open(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.out != nil {
		return nil
	}
	out, err := d.export()
	if err != nil {
		return err
	}
	d.out = out
	if err := d.setUp(ctx); err != nil {
		d.out = nil
		return err
	}
	return nil
}

// setUp takes the safe duty. It waits until this user may. The caller has mu.
func (d *Dev) setUp(ctx context.Context) error {
	deadline := time.NewTimer(grantTime)
	defer deadline.Stop()
	retry := time.NewTicker(grantRetry)
	defer retry.Stop()
	for {
		err := d.begin()
		if !errors.Is(err, fs.ErrPermission) {
			return err
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return fmt.Errorf("this user may not use the channel; is there a rule of udev for pwm, and is the user in its group (gpio)? %w: %w", err, gateway.ErrUnavailable)
		}
	}
}

// begin is a try to set up. The caller has mu.
func (d *Dev) begin() error {
	if err := d.out.load(); err != nil {
		return err
	}
	if err := d.out.prepare(d.config.Inverted); err != nil {
		return err
	}
	if err := d.safe(); err != nil {
		return err
	}
	return d.out.write("enable", 1)
}

// Read implements gateway.Sensor.
func (d *Dev) Read(context.Context) ([]gateway.Reading, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.out == nil {
		return nil, bus.ErrNotOpen
	}
	if err := d.out.check(); err != nil {
		return nil, err
	}
	return []gateway.Reading{
		{Name: "duty", Value: gateway.Number(d.duty), Unit: "%"},
		{Name: "frequency", Value: gateway.Number(d.frequency), Unit: "Hz"},
	}, nil
}

// Safe implements gateway.Safer.
func (d *Dev) Safe(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.out == nil {
		return bus.ErrNotOpen
	}
	return d.safe()
}

// safe takes the safe duty. The caller has mu.
func (d *Dev) safe() error { return d.apply(float64(d.config.Frequency), d.config.SafeDuty) }

// apply sets the output. The caller has mu.
func (d *Dev) apply(frequency, duty float64) error {
	if err := d.out.apply(frequency, duty); err != nil {
		d.known.ForgetAll()
		return err
	}
	d.frequency, d.duty = frequency, duty
	d.known.Know("duty", gateway.Number(duty))
	d.known.Know("frequency", gateway.Number(frequency))
	return nil
}

// Close takes the safe duty. It may be called twice.
func (d *Dev) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.out == nil {
		return nil
	}
	err := d.safe()
	d.out = nil
	d.known.ForgetAll()
	return err
}
