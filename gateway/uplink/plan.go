package uplink

import (
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// Plan is what a contract allows on the line in a month. The zero Plan has no
// limit.
type Plan struct {
	// Monthly is how many bytes may pass, both ways together; 0 is no limit.
	Monthly uint64
	// ResetsOn is the day on which a month of the contract begins, at 0:00 UTC,
	// 1 to 28.
	ResetsOn int
	// ThinAt is the share of Monthly from which on telemetry is thinned, above 0
	// and up to 1, which is never.
	ThinAt float64
	// ThinWindow is how much time one thinned reading stands for.
	ThinWindow time.Duration
}

func (p Plan) validate() error {
	if p.Monthly == 0 {
		return nil
	}
	if p.ResetsOn < 1 || p.ResetsOn > 28 || p.ThinAt <= 0 || p.ThinAt > 1 || p.ThinWindow <= 0 {
		return fmt.Errorf("data plan %+v: want a day from 1 to 28, a share above 0 and up to 1, and a window: %w", p, gateway.ErrInvalid)
	}
	return nil
}

// month is the month of the contract that a moment is in.
func (p Plan) month(now time.Time) (begins, ends time.Time) {
	year, month, day := now.UTC().Date()
	if day < p.ResetsOn {
		month--
	}
	return time.Date(year, month, p.ResetsOn, 0, 0, 0, 0, time.UTC),
		time.Date(year, month+1, p.ResetsOn, 0, 0, 0, 0, time.UTC)
}

// PlanState is what a data plan demands now.
type PlanState string

// The states, in the order in which a month passes through them.
const (
	// PlanFree: everything is sent as it comes.
	PlanFree PlanState = "free"
	// PlanThinning: readings are thinned before they are queued.
	PlanThinning PlanState = "thinning"
	// PlanHeld: the plan is used up. Telemetry waits in the queue for the next
	// month; alerts, results and gap records are still sent.
	PlanHeld PlanState = "held"
)

func (p Plan) state(used uint64) PlanState {
	switch {
	case p.Monthly == 0:
		return PlanFree
	case used >= p.Monthly:
		return PlanHeld
	case float64(used) >= p.ThinAt*float64(p.Monthly):
		return PlanThinning
	default:
		return PlanFree
	}
}

// Standing is how a month stands against its plan.
type Standing struct {
	State PlanState `json:"state"`
	// Used and Monthly are bytes, both ways together.
	Used    uint64 `json:"used"`
	Monthly uint64 `json:"monthly"`
	// ThinAt is the number of used bytes from which on telemetry is thinned.
	ThinAt uint64 `json:"thin_at"`
	// Begins and Resets bound the month; zero until the time is trusted.
	Begins time.Time `json:"begins,omitzero"`
	Resets time.Time `json:"resets,omitzero"`
	// Bytes are those of the month, by purpose.
	Bytes Usage `json:"bytes"`
}
