package rules

import (
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// World is what the config says of that with which rules deal.
type World struct {
	Devices map[gateway.DeviceID]Device
	// Zone is that of times of day.
	Zone *time.Location
	// Positioned is that sun times can be known: there is a position, or a device
	// that tells it.
	Positioned bool
}

// Device is a device, as far as it is known without asking it.
type Device struct {
	// Quantities have a value of their kind; nil if they are not known before.
	Quantities map[string]gateway.Value
	// Every is how often they come, if that is known.
	Every time.Duration
	// Commanded is that it takes commands; Actions are those that it has, nil if
	// that is not known.
	Commanded bool
	Actions   []gateway.Action
	// Sets names the quantities that a command changes; nil if that is not known.
	Sets func(cmd gateway.Command) []string
}
