package mcu

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// mostStarts is how often an image is started before it counts as bad, and
	// mostTries how often sending it may fail for a reason other than the line.
	mostStarts = 2
	mostTries  = 3
	// mostCuts is how many starts may be ended by a power cut before that counts, too.
	mostCuts = 20
	// reopenPause is the pause between attempts to find an unplugged microcontroller.
	reopenPause = 500 * time.Millisecond
	// oftenMillis is up to what pause a channel is expected to say something while the
	// image is on trial, and proveTime how long it has for that.
	oftenMillis = 5000
	proveTime   = 15 * time.Second
	// trialTime is after how long an image that cannot be talked to has given way to the
	// loader: it resets 60 s after its start if it is not confirmed.
	trialTime = 90 * time.Second
)

// errNotUp: the image is stored and does not work.
var errNotUp = errors.New("the new firmware does not come up")

// update is an image on its way. It knows nothing of where it is: that is what is
// stored in the microcontroller.
type update struct {
	*Dev
	image         *link.Image
	starts, tries int
	trying        bool // how the last start has ended is not known yet
	cuts          int
	told          time.Time
}

// run works until the image is confirmed, cannot be, or ctx ends.
func (u *update) run(ctx context.Context) error {
	u.noteUpdate(func(f *gateway.FirmwareUpdate) { f.To = u.image.Version.String() })
	u.progress(ctx, 0, len(u.image.Data)) // in place of that of the update before
	for {
		conn, err := u.reach(ctx)
		if err != nil {
			return err
		}
		err = u.once(ctx, conn)
		switch {
		case err == nil, ctx.Err() != nil, permanent(err):
			return err
		case conn.Err() != nil: // unplugged, or silent: what is there stays there
			u.log.Info("the update is interrupted; it goes on when the microcontroller answers", "error", err)
		case u.powerWasCut(ctx, conn):
			u.log.Info("the power of the microcontroller was cut while its new firmware was tried; it is tried again", "error", err)
		default:
			if u.tries++; u.tries == mostTries {
				return err
			}
		}
	}
}

// permanent says that trying again will not help.
func permanent(err error) bool {
	return errors.Is(err, errNotUp) || errors.Is(err, gateway.ErrInvalid) || errors.Is(err, gateway.ErrUnknown) || errors.Is(err, gateway.ErrDenied)
}

// once does what is left to be done, as far as this line lasts.
func (u *update) once(ctx context.Context, conn *link.Conn) error {
	trial, err := u.onTrial(ctx, conn)
	if err != nil {
		return err
	}
	u.powerWasCut(ctx, conn) // and the line with it
	if !trial {
		u.tellUpdate(ctx, "sending")
		if err := conn.Update(ctx, u.image, func(done, total int) { u.progress(ctx, done, total) }); err != nil {
			return err
		}
		if u.starts == mostStarts {
			return u.gone(ctx, conn)
		}
		u.starts++
		u.trying = true
		u.tellUpdate(ctx, "starting")
		if h, err := conn.Start(ctx); err != nil {
			return u.notStarted(ctx, conn, h, err)
		}
	}
	if err = u.prove(ctx, conn); err == nil {
		err = conn.Confirm(ctx, u.image.Version)
	}
	if err != nil {
		return unfit(err)
	}
	if err = u.greet(ctx, conn); err == nil {
		u.noteConfirmed()
	}
	return err
}

// unfit makes what is wrong for good with an image that runs a reason to take it out.
func unfit(err error) error {
	if permanent(err) && !errors.Is(err, errNotUp) {
		return fmt.Errorf("%w: %w", errNotUp, err)
	}
	return err
}

// onTrial says whether the image runs already, and only waits to be confirmed.
func (u *update) onTrial(ctx context.Context, conn *link.Conn) (bool, error) {
	hello, err := conn.Hello(ctx)
	if err != nil || hello.Role != link.Application || hello.Image != link.OnTrial {
		return false, err
	}
	d, err := conn.Descriptor(ctx)
	return err == nil && d.Version == u.image.Version, nil
}

// gone says what has become of an image that was started as often as it may be.
func (u *update) gone(ctx context.Context, conn *link.Conn) error {
	h, err := conn.Hello(ctx)
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: it was started %d times, and the loader is back after a reset by %v", errNotUp, mostStarts, h.Cause)
}

// notStarted is why an image did not start: another attempt may do better.
func (u *update) notStarted(ctx context.Context, conn *link.Conn, h link.Hello, err error) error {
	if ctx.Err() == nil && conn.Err() == nil && u.starts == mostStarts && !u.powerCut(h) {
		return fmt.Errorf("%w: %w", errNotUp, err)
	}
	return unfit(err)
}

// powerWasCut says that the last start was ended by a power cut, and does not count
// it then.
func (u *update) powerWasCut(ctx context.Context, conn *link.Conn) bool {
	if !u.trying {
		return false
	}
	h, err := conn.Hello(ctx)
	if err != nil {
		return false
	}
	u.trying = false
	if !u.powerCut(h) {
		return false
	}
	u.starts--
	u.cuts++
	return true
}

// powerCut says that it was a power cut what has brought the loader back.
func (u *update) powerCut(h link.Hello) bool {
	return h.Role == link.Loader && h.Cause == link.PowerOn && u.cuts < mostCuts
}

// prove waits for a reading, if the firmware has channels that often have some.
func (u *update) prove(ctx context.Context, conn *link.Conn) error {
	d, err := conn.Descriptor(ctx)
	if err != nil {
		return err
	}
	often := false
	for _, c := range d.Channels {
		often = often || c.Every > 0 && c.Every <= oftenMillis
	}
	before, deadline := conn.Stats(), time.Now().Add(proveTime)
	for often && conn.Stats().Readings == before.Readings {
		switch {
		case conn.Stats().Resets != before.Resets:
			return errors.New("it was reset before it has measured anything")
		case time.Now().After(deadline):
			return fmt.Errorf("%w: it has measured nothing for %v", errNotUp, proveTime)
		}
		if err := await(ctx, reopenPause/10); err != nil {
			return err
		}
	}
	return nil
}

// reach is a line on which somebody answers; it waits for one until ctx ends.
func (u *update) reach(ctx context.Context) (*link.Conn, error) {
	if conn, err := u.use(); err == nil && conn.Err() == nil {
		return conn, nil
	}
	_ = u.drop() // what it says of a line that has ended changes nothing
	u.tellUpdate(ctx, "waiting")
	for began := time.Now(); ; {
		attempt, cancel := context.WithTimeout(ctx, patience+time.Second)
		conn, err := u.connect(attempt, true)
		cancel()
		if err == nil {
			err = u.take(conn)
		}
		switch {
		case err == nil:
			return conn, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, gateway.ErrInvalid) && time.Since(began) > trialTime:
			return nil, err
		}
		if err := await(ctx, reopenPause); err != nil {
			return nil, err
		}
	}
}

// await waits, and returns the error of ctx if that ends.
func await(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// progressEvery is how often the share that is stored is told at most.
const progressEvery = 5 * time.Second

// progress tells how much is stored.
func (u *update) progress(ctx context.Context, done, total int) {
	percent := 100 * done / total
	u.noteUpdate(func(f *gateway.FirmwareUpdate) { f.Percent = percent })
	if time.Since(u.told) < progressEvery && done < total {
		return
	}
	u.told = time.Now()
	u.tell(ctx, gateway.Reading{Name: "firmware.progress", Unit: "%", Value: gateway.Number(float64(percent))})
}

// tellUpdate tells how far an update is.
func (d *Dev) tellUpdate(ctx context.Context, state string) {
	d.noteUpdate(func(f *gateway.FirmwareUpdate) { f.Phase = state })
	d.log.Info("firmware update", "state", state)
	d.tell(ctx, gateway.Reading{Name: "firmware.update", Value: gateway.Text(state)})
}
