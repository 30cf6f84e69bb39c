package relay

import (
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// retryOff is how soon going off is tried again.
const retryOff = time.Second

// turn switches the relay. The caller has mu.
func (d *Dev) turn(on bool) error {
	was := d.out.Active()
	if err := d.out.Set(on); err != nil {
		d.known.Forget("on")
		return err
	}
	d.known.Know("on", gateway.Bool(on))
	if on {
		return nil
	}
	d.overdue = nil
	if was {
		d.cancel()
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
