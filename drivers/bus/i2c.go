package bus

import (
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/host/v3/sysfs"

	"github.com/fieldpost/fieldpost/gateway"
)

// I2CConfig is an I2C bus of the board.
type I2CConfig struct {
	Device  string        `yaml:"device" doc:"Device file of the bus." required:"true" pattern:"^/dev/i2c-[0-9]{1,3}$" want:"/dev/i2c-N" example:"/dev/i2c-1"`
	Timeout time.Duration `yaml:"timeout" doc:"A transaction that has not come back in this time is given up, and the bus is reported as stuck." default:"2s" min:"100ms" max:"1m"`
}

func (*I2CConfig) kind() string { return KindI2C }

const defaultI2CTimeout = 2 * time.Second

var i2cDevice = regexp.MustCompile(`^/dev/i2c-(\d{1,3})$`)

// number is N of /dev/i2c-N.
func (c *I2CConfig) number() (int, error) {
	m := i2cDevice.FindStringSubmatch(c.Device)
	if m == nil {
		return 0, fmt.Errorf("%q is not /dev/i2c-N: %w", c.Device, gateway.ErrInvalid)
	}
	return strconv.Atoi(m[1])
}

func openI2C(number int) (i2c.BusCloser, error) { return sysfs.NewI2C(number) }

// I2C is an open I2C bus. It is periph's i2c.Bus, so that periph's drivers work
// on it; transactions of several devices take turns.
type I2C struct {
	name    string
	timeout time.Duration
	report  func(problem error)
	bus     i2c.BusCloser
	// turn is held by whoever uses the bus; a transaction that was given up
	// holds it until it comes back.
	turn chan struct{}
	work sync.WaitGroup // transactions under way

	mu    sync.Mutex
	stuck error // why nothing can be asked of the bus; nil if it can
}

// I2C opens a bus by name: one of the config, or i2c-N for /dev/i2c-N.
func (s *Set) I2C(name string) (*I2C, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed()
	}
	if b := s.i2c[name]; b != nil {
		return b, nil
	}
	c, err := configOf[I2CConfig](s, name, KindI2C)
	if err != nil {
		return nil, err
	}
	number, err := c.number()
	if err != nil {
		return nil, fmt.Errorf("bus %s: %w", name, err)
	}
	opened, err := s.opts.Hardware.I2C(number)
	if err != nil {
		return nil, fmt.Errorf("bus %s cannot be opened; is I2C enabled (raspi-config, or dtparam=i2c_arm=on), and may this user open %s (group i2c)? %w: %w",
			name, c.Device, err, gateway.ErrUnavailable)
	}
	b := &I2C{
		name: name, timeout: c.Timeout, bus: opened, turn: make(chan struct{}, 1),
		report: func(problem error) { s.opts.Report(name, problem) },
	}
	s.i2c[name] = b
	return b, nil
}

// String is the name of the bus in the config.
func (b *I2C) String() string { return b.name }

// SetSpeed implements i2c.Bus. The speed is that of the bus, not of a device.
func (b *I2C) SetSpeed(physic.Frequency) error {
	return fmt.Errorf("the speed of bus %s is set in the section buses, not by a device: %w", b.name, gateway.ErrInvalid)
}

// Tx implements i2c.Bus: it writes w, then reads r, in one transaction. It may
// be called by several goroutines.
func (b *I2C) Tx(address uint16, w, r []byte) error {
	// A transaction that is given up may still write into its buffer.
	out, in := append([]byte(nil), w...), make([]byte, len(r))
	err := b.exchange(address, func(bus i2c.Bus) error { return bus.Tx(address, out, in) })
	if err != nil {
		return err
	}
	copy(r, in)
	return nil
}

// exchange has the bus for f alone, which makes one or more transactions for
// the device at address.
func (b *I2C) exchange(address uint16, f func(i2c.Bus) error) error {
	timer := time.NewTimer(b.timeout)
	defer timer.Stop()
	if err := b.take(timer.C); err != nil {
		return err
	}
	result := make(chan error, 1)
	b.work.Go(func() {
		err := f(b.bus)
		b.back(err)
		result <- err
	})
	timer.Reset(b.timeout)
	select {
	case err := <-result:
		return explain(err)
	case <-timer.C:
	}
	return b.giveUp(address, result)
}

// take waits for the bus, as long as it is not stuck.
func (b *I2C) take(late <-chan time.Time) error {
	b.mu.Lock()
	stuck := b.stuck
	b.mu.Unlock()
	if stuck != nil {
		return stuck
	}
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-late:
		return fmt.Errorf("%s has been busy for %v: %w", b.name, b.timeout, gateway.ErrTimeout)
	}
}

// giveUp leaves a transaction behind, unless it came back just now.
func (b *I2C) giveUp(address uint16, result <-chan error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case err := <-result:
		return explain(err)
	default:
	}
	b.stuck = fmt.Errorf("%s is stuck: a transaction with %#02x has not come back within %v; check wires and pull-ups, or cut the power of its chips for a moment: %w: %w",
		b.name, address, b.timeout, gateway.ErrTimeout, gateway.ErrUnavailable)
	b.report(b.stuck)
	return b.stuck
}

// back gives the bus to the next.
func (b *I2C) back(error) {
	b.mu.Lock()
	if b.stuck != nil {
		b.stuck = nil
		b.report(nil)
	}
	b.mu.Unlock()
	<-b.turn
}

// close waits for the transaction under way, not longer than grace.
func (b *I2C) close(grace time.Duration) error {
	if !ended(&b.work, grace) {
		return fmt.Errorf("bus %s is left behind with a transaction that does not come back: %w", b.name, gateway.ErrTimeout)
	}
	if err := b.bus.Close(); err != nil {
		return fmt.Errorf("close bus %s: %w", b.name, err)
	}
	return nil
}
