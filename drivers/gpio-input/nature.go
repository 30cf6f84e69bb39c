package gpioinput

import (
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus/gpiochip"
	"github.com/fieldpost/fieldpost/gateway"
)

// counter is the kind that counts; the others have a state.
const counter = "counter"

// still is how long most contacts need to come to rest.
const still = 30 * time.Millisecond

// nature is how a kind of input is wired and read.
type nature struct {
	reading   string // of its state
	activeLow bool
	pull      gpiochip.Pull
	debounce  time.Duration
}

// Quantities are those of the kind, with a value of each.
func (c Config) Quantities() map[string]gateway.Value {
	all := map[string]gateway.Value{"edges_lost": {}}
	switch {
	case c.Kind != counter:
		all[natureOf(c.Kind).reading] = gateway.Bool(false)
	case c.Unit != "":
		all[speedOf(c.Unit).reading], all["total"] = gateway.Value{}, gateway.Value{}
		fallthrough
	default:
		all["rate"], all["count"] = gateway.Value{}, gateway.Value{}
	}
	return all
}

// nature is that of the kind, except for what the config says itself.
func (c Config) nature() nature {
	n := natureOf(c.Kind)
	if c.ActiveLow != nil {
		n.activeLow = *c.ActiveLow
	}
	switch c.Pull {
	case "up":
		n.pull = gpiochip.PullUp
	case "down":
		n.pull = gpiochip.PullDown
	case "none":
		n.pull = gpiochip.PullNone
	}
	if c.Debounce != nil {
		n.debounce = *c.Debounce
	}
	return n
}

func natureOf(kind string) nature {
	switch kind {
	case "contact": // to ground
		return nature{reading: "open", pull: gpiochip.PullUp, debounce: still}
	case "pir": // drives its output
		return nature{reading: "motion", pull: gpiochip.PullDown, debounce: still}
	case "button": // to ground
		return nature{reading: "pressed", activeLow: true, pull: gpiochip.PullUp, debounce: still}
	case counter: // open collector or reed contact to ground
		return nature{activeLow: true, pull: gpiochip.PullUp}
	}
	return nature{reading: "active", pull: gpiochip.PullAsIs, debounce: still}
}

// speed is a rate in the unit of a pulse.
type speed struct {
	reading string
	unit    string
	// seconds is the time that the unit is per.
	seconds float64
}

func speedOf(unit string) speed {
	const hour = 3600
	switch unit {
	case "l":
		return speed{"flow", "l/s", 1}
	case "m3":
		return speed{"flow", "m3/h", hour}
	case "Wh":
		return speed{"power", "W", hour}
	case "kWh":
		return speed{"power", "kW", hour}
	case "mm":
		return speed{"intensity", "mm/h", hour}
	default:
		return speed{"speed", "m/s", 1}
	}
}
