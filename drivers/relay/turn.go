package relay

import (
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// retryOff is how soon going off is tried again.
const retryOff = time.Second

// allowed says by its error that the relay may not change yet. The caller has mu.
func (d *Dev) allowed(on bool) error {
	if on == d.out.Active() {
		return nil
	}
	least, rule, state := d.config.MinOn, "min_on", "on"
	if on {
		least, rule, state = d.config.MinOff, "min_off", "off"
	}
	if lasted := time.Since(d.since); lasted < least {
		return fmt.Errorf("it has been %s for %v, %s is %v; try again in %v: %w", state,
			lasted.Round(time.Second), rule, least, (least - lasted).Round(time.Second), gateway.ErrDenied)
	}
	return nil
}

// turn switches the relay, whatever the rules say. The caller has mu.
func (d *Dev) turn(on bool) error {
	was := d.out.Active()
	if err := d.out.Set(on); err != nil {
		d.known.Forget("on")
		return err
	}
	d.known.Know("on", gateway.Bool(on))
	switch {
	case was == on:
	case on:
		d.since = time.Now()
		if d.config.MaxOn > 0 {
			d.offAfter(d.config.MaxOn)
		}
	default:
		d.since = time.Now()
		d.cancel()
	}
	if !on {
		d.overdue = nil
	}
	return nil
}

// offAfter has the relay, which is on, go off by itself after so long. The
// caller has mu.
func (d *Dev) offAfter(length time.Duration) {
	d.stopTimer()
	d.timers.Add(1)
	var own *time.Timer
	own = time.AfterFunc(length, func() {
		defer d.timers.Done()
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.offTimer == own {
			d.offTimer = nil
			d.goOff()
		}
	})
	d.offTimer = own
}

// goOff is how the relay goes off without a command: by itself, and to be safe.
// It tries again for as long as that does not work. The caller has mu.
func (d *Dev) goOff() {
	d.stopTimer()
	if err := d.turn(false); err != nil {
		d.overdue = fmt.Errorf("the relay should have gone off, and does not: %w", err)
		d.offAfter(retryOff)
	}
}

// cancel ends what would have the relay go off by itself. The caller has mu.
func (d *Dev) cancel() {
	d.stopTimer()
	if d.off != nil {
		close(d.off)
		d.off = nil
	}
}

// stopTimer forgets the timer. One that has fired already finds another in its
// place, or none, and does nothing. The caller has mu.
func (d *Dev) stopTimer() {
	if d.offTimer != nil && d.offTimer.Stop() {
		d.timers.Done()
	}
	d.offTimer = nil
}
