package drivertest

import (
	"maps"
	"slices"
	"testing"

	"github.com/fieldpost/fieldpost/drivers/bus"
)

// onBus is a driver for what is wired to a bus, of whatever kind that is.
type onBus struct {
	fresh     func(*bus.Set) (any, error)
	rig       func() rig
	strangers bool // there are some
	names     []string
	checksums bool
	unnoticed map[string]string
}

// check runs all parts of the suite.
func (d onBus) check(t *testing.T) {
	t.Run("contract", func(t *testing.T) {
		Run(t, func(t *testing.T) any { return d.opened(t) })
	})
	on := func(name string, part func(b *bench)) { on(t, name, d.rig, d.fresh, part) }
	on("not open", notOpen)
	on("no chip", missing)
	on("no chip for a moment", missingOnce)
	on("power lost", powerLoss)
	on("stuck bus", stuck)
	for _, name := range slices.Sorted(maps.Keys(garbage)) {
		if reason := d.unnoticed[name]; reason != "" {
			t.Logf("%s cannot be noticed: %s", name, reason)
			continue
		}
		on("garbage "+name, func(b *bench) { garbled(b, garbage[name]) })
	}
	if d.checksums {
		on("checksums", flipped)
	}
	if d.strangers {
		on("another chip", func(b *bench) { stranger(b, d.names) })
	}
	on("cancelled", cancelled)
	on("leaks", leaks)
}

// opened is a device in real time.
func (d onBus) opened(t *testing.T) any {
	buses := bus.New(bus.Options{Hardware: d.rig().hardware()})
	t.Cleanup(func() { _ = buses.Close() })
	dev, err := d.fresh(buses)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, dev: dev}
	if err := b.open(); err != nil {
		t.Fatal(err)
	}
	return dev
}
