package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/durable"
)

const (
	// MaxOverride is the longest that a device can be under manual control.
	MaxOverride = 7 * 24 * time.Hour
	// maxOverridesBytes bounds the file of the overrides.
	maxOverridesBytes = 1 << 20
)

// overrides are the ends of manual control, by the monotonic clock.
type overrides struct {
	ends map[gateway.DeviceID]time.Time
}

// until is when the manual control of a device ends; zero if there is none.
func (o overrides) until(id gateway.DeviceID, now time.Time) time.Time {
	if end, ok := o.ends[id]; ok && now.Before(end) {
		return end
	}
	return time.Time{}
}

// expire forgets what is over. The file keeps it until it is written again.
func (o overrides) expire(now time.Time) {
	maps.DeleteFunc(o.ends, func(_ gateway.DeviceID, end time.Time) bool { return !now.Before(end) })
}

// next is when the next one ends; zero if there is none.
func (o overrides) next() (at time.Time) {
	for _, end := range o.ends {
		at = sooner(at, end)
	}
	return at
}

// Override puts a device under manual control for so long: only local commands are
// carried out for it. It is durable when nil is returned.
func (p *Policy) Override(id gateway.DeviceID, length time.Duration) error {
	if length <= 0 || length > MaxOverride {
		return fmt.Errorf("manual control for %v: want up to %v: %w", length, MaxOverride, gateway.ErrDenied)
	}
	return p.change(id, func(ends map[gateway.DeviceID]time.Time) { ends[id] = time.Now().Add(length) })
}

// Release ends the manual control of a device. It is durable when nil is returned.
func (p *Policy) Release(id gateway.DeviceID) error {
	return p.change(id, func(ends map[gateway.DeviceID]time.Time) { delete(ends, id) })
}

// change changes what is under manual control, on disk first. A disk that takes its
// time must hold up no safe state.
func (p *Policy) change(id gateway.DeviceID, change func(map[gateway.DeviceID]time.Time)) error {
	p.overriding.Lock()
	defer p.overriding.Unlock()
	now := time.Now()
	next, err := p.overridesWith(id, change, now)
	if err != nil {
		return err
	}
	if err := next.save(p.opts, now); err != nil {
		return fmt.Errorf("manual control of %s: %w", id, err)
	}
	p = p.lock()
	defer p.mu.Unlock()
	p.overrides = next
	p.Changed()
	return nil
}

// overridesWith are the overrides as they are after a change.
func (p *Policy) overridesWith(id gateway.DeviceID, change func(map[gateway.DeviceID]time.Time), now time.Time) (overrides, error) {
	p = p.lock()
	defer p.mu.Unlock()
	if p.devices[id] == nil {
		return overrides{}, fmt.Errorf("there is no device %q that takes commands; there is %s: %w", id, join(p.ids), gateway.ErrUnknown)
	}
	next := overrides{maps.Clone(p.overrides.ends)}
	next.expire(now)
	change(next.ends)
	return next, nil
}

// kept is an override in the file. Until is zero if the clock could not be trusted.
type kept struct {
	Device gateway.DeviceID `json:"device"`
	Left   time.Duration    `json:"left"`
	Until  time.Time        `json:"until,omitzero"`
}

// save writes the file.
func (o overrides) save(opts Options, now time.Time) error {
	if opts.Overrides == "" {
		return nil
	}
	list := make([]kept, 0, len(o.ends))
	for _, id := range slices.Sorted(maps.Keys(o.ends)) {
		k := kept{Device: id, Left: o.ends[id].Sub(now)}
		if opts.Clock.Trusted() {
			k.Until = opts.Clock.Now().Add(k.Left).UTC().Round(0)
		}
		list = append(list, k)
	}
	data, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return durable.Replace(opts.Overrides, data, 0o640)
}

// loadOverrides reads the file. A board that does not know the time gives each of
// them all the time that was left when it was written: too long costs less than too
// short, when somebody has his hands in a machine.
func loadOverrides(o Options, now time.Time) overrides {
	ends := make(map[gateway.DeviceID]time.Time)
	if o.Overrides == "" {
		return overrides{ends}
	}
	data, err := os.ReadFile(o.Overrides)
	if errors.Is(err, fs.ErrNotExist) {
		return overrides{ends}
	}
	var list []kept
	if err == nil {
		list, err = decodeOverrides(data)
	}
	if err != nil {
		o.Log.Warn("the manual overrides of devices cannot be read and are over", "file", o.Overrides, "error", err)
	}
	for _, k := range list {
		left := k.Left
		if !k.Until.IsZero() && o.Clock.Trusted() {
			left = min(left, k.Until.Sub(o.Clock.Now()))
		}
		if left > 0 {
			ends[k.Device] = now.Add(left)
		}
	}
	return overrides{ends}
}

// decodeOverrides reads what save has written; anything else is an error.
func decodeOverrides(data []byte) (list []kept, err error) {
	if len(data) > maxOverridesBytes {
		return nil, fmt.Errorf("%d bytes; want at most %d: %w", len(data), maxOverridesBytes, gateway.ErrInvalid)
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("%w: %w", gateway.ErrInvalid, err)
	}
	for _, k := range list {
		if k.Device == "" || k.Left <= 0 || k.Left > MaxOverride {
			return nil, fmt.Errorf("device %.40q has %v left; want up to %v: %w", k.Device, k.Left, MaxOverride, gateway.ErrInvalid)
		}
	}
	return list, nil
}
