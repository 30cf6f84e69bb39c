package load

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/fieldpost/fieldpost/gateway/hubsim"
)

// Options say how much load there is.
type Options struct {
	// Hub is what hubsim.json says.
	Hub hubsim.Info
	// Gateways is how many there are, 1 to 5000. They are called load-1, …
	Gateways int
	// Every is the time between two messages of a gateway, 1 ms to 1 h. The
	// next message waits for the PUBACK of the last.
	Every time.Duration
	// Bytes is the size of a body, 1 to 200000.
	Bytes int
	// ConnectOver is the time over which the first connects are spread, 0 to
	// 1 h.
	ConnectOver time.Duration
	// Duration is how long it all takes, 1 s to 24 h.
	Duration time.Duration
	Log      *slog.Logger
}

// Validate names every option at fault.
func (o Options) Validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(o.Gateways >= 1 && o.Gateways <= 5000, "gateways: %d is not allowed, want 1 to 5000", o.Gateways)
	check(o.Every >= time.Millisecond && o.Every <= time.Hour, "every: %v is not allowed, want 1ms to 1h", o.Every)
	check(o.Bytes >= 1 && o.Bytes <= 200_000, "bytes: %d is not allowed, want 1 to 200000", o.Bytes)
	check(o.ConnectOver >= 0 && o.ConnectOver <= time.Hour, "connect-over: %v is not allowed, want 0s to 1h", o.ConnectOver)
	check(o.Duration >= time.Second && o.Duration <= 24*time.Hour, "duration: %v is not allowed, want 1s to 24h", o.Duration)
	return errors.Join(faults...)
}
