package hx711

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// maxHigh is how long the clock may be high before the chip falls asleep.
	maxHigh = 60 * time.Microsecond
	// settling is how long the chip needs after a start or another gain until what
	// it converts is right: 400 ms at 10 conversions a second.
	settling = 500 * time.Millisecond
	// conversion bounds the wait for the end of one, which takes 100 ms.
	conversion = 500 * time.Millisecond
	// poll is how often the data line is looked at meanwhile. Its edges are not
	// used: the kernel would handle each bit of the data as one, while it is
	// clocked.
	poll = 2 * time.Millisecond
	// restarts is how often a measurement that came out too slow is tried again.
	restarts = 3

	bits       = 24
	leastValue = -1 << (bits - 1)
	mostValue  = 1<<(bits-1) - 1
)

// pulses is how many clock pulses after the bits choose the gain of the next
// conversion; 0 if there is no such gain.
func pulses(gain int) int {
	switch gain {
	case 128:
		return 1
	case 32:
		return 2
	case 64:
		return 3
	}
	return 0
}

// errSlow is that the clock was, or may have been, high for too long.
var errSlow = errors.New("the clock was high for too long")

// wire is the two lines of a chip.
type wire struct {
	data   *bus.Input
	clock  *bus.Output
	pulses int
	// fresh notes that the chip needs a start.
	fresh bool
	now   func() time.Time // of the high phases
}

func (w *wire) close() error { return errors.Join(w.data.Close(), w.clock.Close()) }

// measure gives the next conversion.
func (w *wire) measure(ctx context.Context) (value int32, err error) {
	err = w.patiently(func() (err error) {
		value, err = w.convert(ctx)
		return err
	})
	return value, err
}

// patiently tries what may come out too slow.
func (w *wire) patiently(try func() error) error {
	for range restarts + 1 {
		err := try()
		if !errors.Is(err, errSlow) {
			return err
		}
		w.fresh = true
	}
	return fmt.Errorf("the clock was high for more than %v in each of %d tries, and the chip falls asleep of that; the board is too busy: use the kernel's driver (avia,hx711) and the driver iio: %w",
		maxHigh, restarts+1, gateway.ErrTimeout)
}

// drop takes the conversion that is waiting and forgets it: it may be old, and
// another may have taken its place while it was clocked out.
func (w *wire) drop(ctx context.Context) error {
	return w.patiently(func() error {
		if err := w.start(ctx); err != nil {
			return err
		}
		if err := w.ready(ctx); err != nil {
			return err
		}
		_, err := w.shift()
		return err
	})
}

// convert gives the next conversion, as soon as it is there.
func (w *wire) convert(ctx context.Context) (int32, error) {
	if err := w.start(ctx); err != nil {
		return 0, err
	}
	if err := w.ready(ctx); err != nil {
		return 0, err
	}
	value, err := w.shift()
	if err != nil {
		return 0, err
	}
	high, err := w.data.Level()
	switch {
	case err != nil:
		return 0, err
	case !high:
		w.fresh = true
		return 0, fmt.Errorf("the data line stays low after a conversion; is it shorted, or no HX711 there? %w", gateway.ErrUnavailable)
	case value == leastValue || value == mostValue:
		return 0, fmt.Errorf("the converter is overloaded (raw %d); is a wire of the load cell open, or the load too much? %w", value, gateway.ErrInvalid)
	}
	return value, nil
}

// start brings the chip into a known state, if it is not in one: asleep, awake,
// and then at the gain that is wanted, which only the end of a conversion sets.
func (w *wire) start(ctx context.Context) error {
	if !w.fresh {
		return nil
	}
	if err := w.clock.Set(true); err != nil {
		return err
	}
	asleep := sleep(ctx, 2*maxHigh)
	if err := w.clock.Set(false); err != nil {
		return err
	}
	if asleep != nil {
		return asleep
	}
	if err := sleep(ctx, settling); err != nil {
		return err
	}
	if w.pulses != pulses(128) {
		if err := w.ready(ctx); err != nil {
			return err
		}
		if _, err := w.shift(); err != nil {
			return err
		}
		if err := sleep(ctx, settling); err != nil {
			return err
		}
	}
	err := w.ready(ctx)
	w.fresh = err != nil
	return err
}

// ready waits for the end of a conversion: the data line goes low.
func (w *wire) ready(ctx context.Context) error {
	for began := time.Now(); ; {
		high, err := w.data.Level()
		switch {
		case err != nil:
			return err
		case !high:
			return nil
		case time.Since(began) > conversion:
			w.fresh = true
			return fmt.Errorf("the data line stays high: no chip, no power, or data and clock are exchanged: %w: %w", gateway.ErrTimeout, gateway.ErrUnavailable)
		}
		if err := sleep(ctx, poll); err != nil {
			return err
		}
	}
}

// shift takes the bits of a conversion, and chooses the gain of the next one. It
// does not look at any context: half-way the chip cannot be left.
func (w *wire) shift() (int32, error) {
	var value uint32
	for range bits {
		if err := w.pulse(); err != nil {
			return 0, err
		}
		// A bit stands until the clock rises again: reading it while the clock is
		// high would only make that longer.
		high, err := w.data.Level()
		if err != nil {
			return 0, err
		}
		value <<= 1
		if high {
			value |= 1
		}
	}
	for range w.pulses {
		if err := w.pulse(); err != nil {
			return 0, err
		}
	}
	return int32(value<<(32-bits)) >> (32 - bits), nil //nolint:gosec // two's complement
}

// pulse has the clock high, and low again. What it measures is never less than
// what the chip has seen.
func (w *wire) pulse() error {
	began := w.now()
	if err := w.clock.Set(true); err != nil {
		return err
	}
	if err := w.clock.Set(false); err != nil {
		return err
	}
	if w.now().Sub(began) > maxHigh {
		return errSlow
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
