package bus

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/host/v3/sysfs"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
)

// I2CConfig is an I2C bus of the board.
type I2CConfig struct {
	Device  string           `yaml:"device" doc:"Device file of the bus." required:"true" pattern:"^/dev/i2c-[0-9]{1,3}$" want:"/dev/i2c-N" example:"/dev/i2c-1"`
	Speed   config.Frequency `yaml:"speed" doc:"Clock that the bus must have. The kernel sets it when the board starts; if it is another, a condition says what to write where. Left out: whatever it is." min:"1kHz" max:"5MHz" example:"400kHz"`
	Timeout time.Duration    `yaml:"timeout" doc:"A transaction that has not come back in this time is given up, and the bus is reported as stuck." default:"2s" min:"100ms" max:"1m"`
	Recover []string         `yaml:"recover" doc:"What is tried, one after the other, when three transactions in a row have timed out: rebind takes the adapter from its driver and gives it back, which resets it (needs root); power cuts the power of the chips. Left out: nothing." oneof:"rebind|power"`
	Power   *PowerConfig     `yaml:"power" doc:"GPIO line that gives the chips of the bus their power."`
}

// Validate checks what tags cannot.
func (c *I2CConfig) Validate() error {
	wants := slices.Contains(c.Recover, stepPower)
	switch {
	case wants && c.Power == nil:
		return &gateway.FieldError{Field: "recover", Problem: "power needs the section power, with the line"}
	case !wants && c.Power != nil:
		return &gateway.FieldError{Field: "power", Problem: "is for recover: [power]; want that, or power left out"}
	default:
		return nil
	}
}

func (*I2CConfig) kind() string { return KindI2C }

func (c *I2CConfig) hardware() string { return c.Device }

// defaultTimeout is that of I2C and SPI buses.
const defaultTimeout = 2 * time.Second

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

// I2C is an open I2C bus: one of the board, or a channel of a multiplexer. It is
// periph's i2c.Bus, so that periph's drivers work on it; transactions of several
// devices take turns.
type I2C struct {
	wire    *wire
	segment *segment
}

// I2C opens a bus by name: one of the config, or i2c-N for /dev/i2c-N.
func (s *Set) I2C(name string) (*I2C, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed()
	}
	if err := s.Check(Place{Bus: name, Kind: KindI2C}); err != nil {
		return nil, err
	}
	trunk := trunkOf(name, s.configs())
	w := s.i2c[trunk]
	if w == nil {
		var err error
		if w, err = s.openWire(trunk); err != nil {
			return nil, err
		}
		s.i2c[trunk] = w
	}
	return &I2C{wire: w, segment: w.find(name)}, nil
}

// openWire opens a bus of the board.
func (s *Set) openWire(name string) (*wire, error) {
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
	const advice = "check wires and pull-ups, or cut the power of its chips for a moment"
	a := adapter{sys: s.opts.Hardware.Sys, number: number}
	told := &condition{report: func(problem error) { s.opts.Report(name, problem) }}
	w := &wire{
		turn: newTurn(name, c.Timeout, advice, func(problem error) { told.set(isStuck, problem) }),
		bus:  opened, trunk: s.grow(name), record: s.opts.Record,
		open: func() (i2c.BusCloser, error) { return s.opts.Hardware.I2C(number) },
	}
	if a.listed() {
		w.listed = a.listed
	}
	if err := atSpeed(opened, int64(c.Speed), a); err != nil {
		told.set(isSlow, err)
	}
	w.recovery = &recovery{bus: name, turn: w.turn, log: s.opts.Log, report: func(problem error) { told.set(isFailing, problem) }}
	if err := s.arm(w, c, a); err != nil {
		_ = w.close(closeGrace) // the first error says more
		return nil, err
	}
	return w, nil
}

// atSpeed sees to it that the bus has the wanted speed, in Hz; 0 is whatever it
// is. Its error says what to do.
func atSpeed(b i2c.Bus, want int64, a adapter) error {
	is := a.speed()
	if want == 0 || is == want || b.SetSpeed(physic.Frequency(want)*physic.Hertz) == nil {
		return nil
	}
	runs := "nobody knows how fast it runs"
	if is > 0 {
		runs = fmt.Sprintf("it runs at %v", physic.Frequency(is)*physic.Hertz)
	}
	return fmt.Errorf("the speed of the bus is to be %v, but %s; %s: %w", physic.Frequency(want)*physic.Hertz, runs, a.howToSet(want), gateway.ErrInvalid)
}

// String is the name of the bus in the config.
func (b *I2C) String() string { return b.segment.name }

// SetSpeed implements i2c.Bus. The speed is that of the bus, not of a device.
func (b *I2C) SetSpeed(physic.Frequency) error {
	return fmt.Errorf("the speed of bus %s is set in the section buses, not by a device: %w", b, gateway.ErrInvalid)
}

// Tx implements i2c.Bus: it writes w, then reads r, in one transaction. It may
// be called by several goroutines.
func (b *I2C) Tx(address uint16, w, r []byte) error {
	// A transaction that is given up may still write into its buffer.
	out, in := append([]byte(nil), w...), make([]byte, len(r))
	b.wire.recovery.attempt()
	err := b.wire.turn.do(fmt.Sprintf("%#02x", address), func() error {
		return b.wire.ask(b.segment, address, out, in)
	})
	if err != nil {
		return err
	}
	copy(r, in)
	return nil
}

// wire is an I2C bus of the board with all that hangs on it.
type wire struct {
	turn *turn
	bus  i2c.BusCloser
	open func() (i2c.BusCloser, error)
	gone bool // what was open is of no use any more
	// listed tells whether the kernel has the adapter; nil if it cannot be known.
	listed func() bool
	trunk  *segment
	record func(Transaction)
	// recovery frees the bus; power is the line that it uses, if any.
	recovery *recovery
	power    *Output
	// bind gives the adapter back to its driver; nil if that has it.
	bind func() error
}

// ask makes a transaction with a chip on a segment, which must have its turn.
func (w *wire) ask(s *segment, address uint16, out, in []byte) error {
	if w.gone {
		if err := w.reopen(); err != nil {
			return err
		}
	}
	way := s.way()
	err := w.route(way)
	if err == nil {
		err = w.transact(s, address, out, in)
	}
	if err != nil {
		forget(way)
	}
	w.recovery.note(err)
	return err
}

// transact makes one transaction with what is connected at the moment.
func (w *wire) transact(s *segment, address uint16, out, in []byte) error {
	begun := time.Now()
	err := explain(w.bus.Tx(address, out, in))
	if err != nil && w.unplugged() {
		err = errGone
	}
	w.gone = errors.Is(err, errGone)
	w.record(Transaction{Bus: s.name, At: AtI2C(s.name, address).At, Wrote: out, Read: in, Err: err, Took: time.Since(begun)})
	return err
}

// unplugged tells whether the adapter is no more. Some drivers say of that what
// they say of a chip that does not answer, and the kernel waits for the bus to be
// closed, with all else on that USB port.
func (w *wire) unplugged() bool {
	return w.bind == nil && w.listed != nil && !w.listed()
}

// reopen opens a bus whose adapter was unplugged, if it is back.
func (w *wire) reopen() error {
	_ = w.bus.Close() // it leads nowhere
	opened, err := w.open()
	if err != nil {
		w.bus = absentBus{errGone}
		return errGone
	}
	w.bus, w.gone = opened, false
	w.forgetAll()
	return nil
}

// find is the segment with a name, which must be there.
func (w *wire) find(name string) *segment {
	for _, s := range w.trunk.all() {
		if s.name == name {
			return s
		}
	}
	return nil
}

func (w *wire) close(grace time.Duration) error {
	if err := w.turn.end(grace); err != nil {
		return err
	}
	err := w.bus.Close()
	if w.bind != nil { // or the next start finds no such bus
		err = errors.Join(err, w.bind())
	}
	if w.power != nil {
		err = errors.Join(err, w.power.Close())
	}
	if err != nil {
		return fmt.Errorf("close bus %s: %w", w.turn.bus, err)
	}
	return nil
}
