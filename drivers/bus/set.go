package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/spi"

	"github.com/fieldpost/fieldpost/drivers/bus/gpiochip"
	"github.com/fieldpost/fieldpost/gateway"
)

// Options of a Set; the zero value is this board with the buses that need no
// config.
type Options struct {
	// Configs of the buses by name: pointers to what Kinds gives.
	Configs map[string]any
	// Report is told when a bus does not work, and with nil when it does again.
	Report func(bus string, problem error)
	// Record is given each transaction on an I2C or SPI bus after it has come
	// back, one at a time for each bus of the board. It must not keep the slices.
	Record func(Transaction)
	Log    *slog.Logger
	// Hardware takes the place of the board's own.
	Hardware Hardware
}

// Hardware opens what is wired. What is nil is the board's own; tests put
// simulated chips in its place.
type Hardware struct {
	// I2C opens the bus /dev/i2c-N.
	I2C func(number int) (i2c.BusCloser, error)
	// Sys is where /sys is.
	Sys string
	// SPI opens the chip select /dev/spidevN.M.
	SPI func(controller, chipSelect int) (spi.PortCloser, error)
	// GPIO has the lines.
	GPIO gpiochip.Board
}

// Set has the buses of a gateway, by name. Buses are opened when they are first
// asked for and stay open until Close. It is safe for concurrent use.
type Set struct {
	opts Options
	// current has the configs of the buses, by name; Change replaces them.
	current atomic.Pointer[map[string]any]

	mu     sync.Mutex
	closed bool
	i2c    map[string]*wire
	spi    map[string]*SPI
	modbus map[string]*Modbus
	ports  map[*Port]struct{}

	opening sync.WaitGroup // of ports
	turns   map[string]chan struct{}
}

// New returns a Set that has opened nothing yet.
func New(o Options) *Set {
	if o.Report == nil {
		o.Report = func(string, error) {}
	}
	if o.Record == nil {
		o.Record = func(Transaction) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Hardware.I2C == nil {
		o.Hardware.I2C = openI2C
	}
	if o.Hardware.Sys == "" {
		o.Hardware.Sys = "/sys"
	}
	if o.Hardware.SPI == nil {
		o.Hardware.SPI = openSPI
	}
	if o.Hardware.GPIO == nil {
		o.Hardware.GPIO = gpiochip.Kernel{}
	}
	s := &Set{opts: o, i2c: make(map[string]*wire), spi: make(map[string]*SPI), modbus: make(map[string]*Modbus), ports: make(map[*Port]struct{}), turns: make(map[string]chan struct{})}
	s.current.Store(&o.Configs)
	return s
}

// closeGrace is how long Close waits for transactions that do not come back.
const closeGrace = 2 * time.Second

// Close closes all buses, and ports that nobody has closed. Its error names
// those that were left behind with a transaction that has not come back.
func (s *Set) Close() error {
	var errs []error
	for _, p := range s.openPorts() {
		if err := p.Close(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.Port, err))
		}
	}
	if !ended(&s.opening, closeGrace) {
		errs = append(errs, fmt.Errorf("a serial port that does not open is left behind: %w", gateway.ErrTimeout))
	}
	s.mu.Lock()
	wires, controllers, lines := s.i2c, s.spi, s.modbus
	s.i2c, s.spi, s.modbus = nil, nil, nil
	s.mu.Unlock() // who has a bus may want to know of the end
	errs = append(errs, closeAll(wires)...)
	errs = append(errs, closeAll(controllers)...)
	errs = append(errs, closeAll(lines)...)
	return errors.Join(errs...)
}

func closeAll[B interface {
	close(grace time.Duration) error
}](buses map[string]B) (errs []error) {
	for _, name := range slices.Sorted(maps.Keys(buses)) {
		errs = append(errs, buses[name].close(closeGrace))
	}
	return errs
}

// ended waits for what a group does, not longer than grace.
func ended(group *sync.WaitGroup, grace time.Duration) bool {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// openPorts lets no further port be opened and lists those that are.
func (s *Set) openPorts() []*Port {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return slices.Collect(maps.Keys(s.ports))
}

// Check says whether a place can be on the buses that are configured, before
// anything is opened.
func (s *Set) Check(p Place) error {
	if p.Bus == "" {
		return nil
	}
	config := s.config(p.Bus)
	if other := s.alias(p.Bus); other != "" {
		return fmt.Errorf("the bus %s is called %s in the section buses; want that name: %w", p.Bus, other, gateway.ErrInvalid)
	}
	switch {
	case config == nil:
		return fmt.Errorf("there is no bus %q; want one of the section buses%s, or i2c-N: %w", p.Bus, s.named(p.Kind), gateway.ErrInvalid)
	case kindOf(config) != p.Kind:
		return fmt.Errorf("the bus %s is of type %s; want %s%s: %w", p.Bus, kindOf(config), p.Kind, s.named(p.Kind), gateway.ErrInvalid)
	}
	return nil
}

// named lists the configured buses of a kind.
func (s *Set) named(kind string) string {
	var names []string
	for name, config := range s.configs() {
		if kindOf(config) == kind {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return " (" + strings.Join(names, ", ") + ")"
}

// config is that of the section buses, or the implied one; nil if there is no
// such bus.
func (s *Set) config(name string) any {
	return configIn(name, s.configs())
}

func configIn(name string, configs map[string]any) any {
	if config, given := configs[name]; given {
		return config
	}
	return implied(name)
}

func (s *Set) configs() map[string]any { return *s.current.Load() }

// alias is the name that the section buses has for an implied bus; empty if it
// has none.
func (s *Set) alias(name string) string {
	bare, ok := implied(name).(owner)
	if _, given := s.configs()[name]; given || !ok {
		return ""
	}
	for _, other := range slices.Sorted(maps.Keys(s.configs())) {
		if c, ok := s.configs()[other].(owner); ok && c.hardware() == bare.hardware() {
			return other
		}
	}
	return ""
}

// configOf finds the config of a bus, which must be of type C.
func configOf[C any](s *Set, name, kind string) (*C, error) {
	if err := s.Check(Place{Bus: name, Kind: kind}); err != nil {
		return nil, err
	}
	config := s.config(name)
	c, ok := config.(*C)
	if !ok {
		return nil, fmt.Errorf("bus %s: its config is %T: %w", name, config, gateway.ErrInvalid)
	}
	return c, nil
}

// errClosed is the answer of a Set that has been closed.
func errClosed() error {
	return fmt.Errorf("the buses are closed, the gateway is stopping: %w", gateway.ErrUnavailable)
}
