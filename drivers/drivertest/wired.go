package drivertest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// rig is a simulated bus as the suite makes trouble on it.
type rig interface {
	hardware() bus.Hardware
	// before has f called before each transaction; what it returns is the
	// transaction's error, and while it does not return the bus is stuck.
	before(f func() error)
	// garble has f change each answer; nil leaves them as they are.
	garble(f func(answer []byte))
	// absent is what the function given to before returns if nobody is there.
	absent() error
	// power takes the power from all chips for a moment.
	power()
	// strangers puts other chips in place of those that the driver wants.
	strangers()
}

// bench is a device on a simulated bus.
type bench struct {
	t     *testing.T
	rig   rig
	buses *bus.Set
	dev   any

	mu sync.Mutex // guards the rest
	// problem is what the bus has reported last.
	problem error
	// asked counts the transactions of one call of the device; at the one with
	// the number cut, trouble is made.
	asked, cut int
	trouble    func() error
}

// many is more transactions than a device makes in one call.
const many = 2000

// on runs a part of the suite in virtual time, so that conversions and
// time-outs take none, and nothing goes on when it ends.
func on(t *testing.T, name string, open func() rig, fresh func(*bus.Set) (any, error), part func(b *bench)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &bench{t: t, rig: open()}
			b.buses = bus.New(bus.Options{Hardware: b.rig.hardware(), Report: b.report})
			b.rig.before(b.step)
			dev, err := fresh(b.buses)
			if err != nil {
				t.Fatalf("New: %v", err)
			}
			b.dev = dev
			defer b.end()
			part(b)
		})
	})
}

// end closes all.
func (b *bench) end() {
	b.rig.before(func() error { return nil })
	b.close()
	if err := b.buses.Close(); err != nil {
		b.t.Error(err)
	}
}

func (b *bench) report(_ string, problem error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problem = problem
}

// told is what the bus has reported last.
func (b *bench) told() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.problem
}

// step is before each transaction.
func (b *bench) step() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	switch b.asked {
	case b.cut:
		return b.trouble()
	case many:
		b.t.Errorf("it has made %d transactions in one call; is there a loop without end?", many)
	}
	if b.asked >= many {
		return b.rig.absent()
	}
	return nil
}

// cutAt makes trouble at the n-th transaction of the next call; 0 makes none.
func (b *bench) cutAt(n int, trouble func() error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cut, b.trouble = n, trouble
}

// count is how many transactions the call under way, or the last one, has made.
func (b *bench) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

// patience is the longest that a call may take, in virtual time: a bus is given
// up after two seconds, and a device may ask more than once.
const patience = 10 * time.Second

func (b *bench) inTime(what string, f func()) {
	b.t.Helper()
	b.mu.Lock()
	b.asked = 0
	b.mu.Unlock()
	begun := time.Now()
	f()
	if took := time.Since(begun); took > patience {
		b.t.Errorf("%s has taken %v", what, took)
	}
}

// open opens the device.
func (b *bench) open() (err error) {
	b.t.Helper()
	opener, ok := b.dev.(gateway.Opener)
	if !ok {
		b.t.Fatalf("%T is no gateway.Opener; want New to touch no hardware, and Open to find the chip", b.dev)
	}
	b.inTime("Open", func() { err = opener.Open(b.t.Context()) })
	return err
}

func (b *bench) close() {
	b.t.Helper()
	closeDevice(b.t, b.dev)
}

// use reads the device, or has it do its first action.
func (b *bench) use(ctx context.Context) (values map[string]gateway.Reading, err error) {
	b.t.Helper()
	b.inTime("a call of it", func() {
		switch dev := b.dev.(type) {
		case gateway.Sensor:
			var readings []gateway.Reading
			readings, err = dev.Read(ctx)
			checkReadings(b.t, readings)
			values = byName(readings)
		case gateway.Actuator:
			_, err = dev.Do(ctx, command(dev.Actions()[0]))
		default:
			b.t.Fatalf("%T is no gateway.Sensor or Actuator", b.dev)
		}
	})
	return values, err
}

func byName(readings []gateway.Reading) map[string]gateway.Reading {
	all := make(map[string]gateway.Reading)
	for _, r := range readings {
		all[r.Name] = r
	}
	return all
}

// good opens the device and gives what it says when all is well.
func (b *bench) good() map[string]gateway.Reading {
	b.t.Helper()
	if err := b.open(); err != nil {
		b.t.Fatalf("Open: %v", err)
	}
	values, err := b.use(b.t.Context())
	if err != nil {
		b.t.Fatalf("with nothing wrong: %v", err)
	}
	return values
}

// again closes and opens the device, as is done after an error, and wants what
// it said before.
func (b *bench) again(want map[string]gateway.Reading) {
	b.t.Helper()
	b.close()
	if got := b.good(); !maps.Equal(got, want) {
		b.t.Errorf("after it was opened anew it says %v, before it said %v", got, want)
	}
}

// same wants no value that counts as good and is another than what the chip
// really has.
func (b *bench) same(when string, got, want map[string]gateway.Reading) {
	b.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(got)) {
		r := got[name]
		if (r.Quality == "" || r.Quality == gateway.Good) && r != want[name] {
			b.t.Errorf("%s: %s is given as %v, in truth it is %v", when, name, r.Value, want[name].Value)
		}
	}
}
