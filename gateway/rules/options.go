package rules

import (
	"context"
	"log/slog"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/latest"
)

// Clock is what rules need of time.
type Clock interface {
	Now() time.Time
	Trusted() bool
	// Uptime is the time since the board was started, and Boot names that start; it
	// may be empty.
	Uptime() time.Duration
	Boot() string
}

// Commander carries commands out on the way of all commands.
type Commander interface {
	// Do returns the final state, as soon as there is one.
	Do(ctx context.Context, cmd gateway.Command) (gateway.Result, error)
}

// Safer takes devices to their safe state.
type Safer interface {
	// Safe sees to it that a device takes its safe state, and does not wait until it
	// has. The reason completes a sentence that ends in "since". An error is that the
	// device has none, which wraps gateway.ErrUnknown.
	Safe(device gateway.DeviceID, why string) error
	// Resting tells whether the outputs of a device are as in its safe state now.
	Resting(device gateway.DeviceID) bool
}

// Alerter takes alerts.
type Alerter interface {
	// Alert has an alert sent at once. It returns before that is durable, and
	// calls stored once it is.
	Alert(ctx context.Context, a gateway.Alert, stored func()) error
}

// Options of an Engine. All are required but for Outputs, Position, Log and Health.
type Options struct {
	Set      *Set
	Board    *latest.Board
	Clock    Clock
	Commands Commander
	Safety   Safer
	Alerts   Alerter
	// Actions gives those of a device; nil if they are not known now.
	Actions func(gateway.DeviceID) []gateway.Action
	// Outputs has what those of a device are set to now: that counts before what is on
	// the board, and is never too old.
	Outputs func(gateway.DeviceID) map[string]gateway.Value
	// Position is that of the gateway, if it is known now.
	Position func() (p Position, known bool)
	// Memory keeps what a restart must not forget, up to MaxMemory bytes.
	Memory gateway.Memory
	// Self is the device that the alerts are of: the gateway.
	Self   gateway.DeviceID
	Log    *slog.Logger
	Health *health.Board
}
