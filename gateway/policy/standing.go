package policy

import (
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// Standing is how a device stands, for status displays.
type Standing struct {
	// Outputs are what is known of them, by name; nil if the device is not there or
	// does not tell.
	Outputs map[string]gateway.Value `json:"outputs,omitempty"`
	// Safe tells whether it is in its safe state: "yes", "no", or "unknown" if it
	// cannot be reached; empty if it has none.
	Safe string `json:"safe,omitempty"`
	// MadeSafe is why it was taken to its safe state, MadeSafeAt when, if nobody has
	// commanded it since.
	MadeSafe   string    `json:"made_safe,omitempty"`
	MadeSafeAt time.Time `json:"made_safe_at,omitzero"`
	// OverrideUntil is when manual control on site ends; zero if there is none.
	OverrideUntil time.Time `json:"override_until,omitzero"`
}

// Standing tells how a device stands; ok is false if it takes no commands.
func (p *Policy) Standing(id gateway.DeviceID) (s Standing, ok bool) {
	p = p.lock()
	defer p.mu.Unlock()
	d := p.devices[id]
	if d == nil {
		return s, false
	}
	s.Outputs = d.state()
	switch {
	case len(d.rest) == 0:
	case s.Outputs == nil:
		s.Safe = "unknown"
	case d.away():
		s.Safe = "no"
	default:
		s.Safe = "yes"
	}
	if d.made != nil {
		s.MadeSafe, s.MadeSafeAt = d.made.text, p.wall(d.made.at)
	}
	if end := p.overrides.until(id, time.Now()); !end.IsZero() {
		s.OverrideUntil = p.wall(end)
	}
	return s, true
}

// wall is a moment of the monotonic clock by the clock of the gateway.
func (p *Policy) wall(at time.Time) time.Time {
	return p.opts.Clock.Now().Add(time.Until(at)).UTC().Truncate(time.Second)
}

func join(ids []gateway.DeviceID) string {
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		names = append(names, string(id))
	}
	return strings.Join(names, ", ")
}
