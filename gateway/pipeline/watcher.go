package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// Checker can tell whether a device is there.
type Checker interface {
	// Check costs nothing while the device is there, and returns when ctx ends.
	Check(ctx context.Context) error
}

// checkTime bounds one check.
const checkTime = 10 * time.Second

// WatcherOptions of a Watcher. All but Label and Health are required.
type WatcherOptions struct {
	Device gateway.DeviceID
	// Label says for people which device it is; left out: its id.
	Label   string
	Checker Checker
	Health  *health.Board
}

// Watcher keeps the state of a device that gives no readings: an actuator.
type Watcher struct {
	opts   WatcherOptions
	device *device
}

// NewWatcher returns a Watcher that does nothing until Run.
func NewWatcher(o WatcherOptions) (*Watcher, error) {
	if o.Device == "" || o.Checker == nil {
		return nil, fmt.Errorf("pipeline: the watcher of device %q needs something that checks it", o.Device)
	}
	o.Health = cmp.Or(o.Health, health.NewBoard(slog.New(slog.DiscardHandler)))
	return &Watcher{opts: o, device: newDevice(o.Device, o.Label, o.Health)}, nil
}

// Stats is a snapshot for status displays.
func (w *Watcher) Stats() DeviceStats { return w.device.snapshot() }

// Run checks the device each second until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	heart := w.opts.Health.Heart("watcher:"+string(w.opts.Device), maxSilence)
	defer w.opts.Health.Remove(heart)
	defer w.device.end()
	tick := time.NewTicker(absentEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		w.check(ctx)
		heart.Beat()
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return nil
}

func (w *Watcher) check(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	err := w.opts.Checker.Check(limited)
	switch {
	case err == nil:
		w.device.good()
	case ctx.Err() == nil: // a failure because of the stop says nothing
		w.device.failed(err)
	}
}
