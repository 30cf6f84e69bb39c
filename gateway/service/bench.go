package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/drivers"
	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

const (
	// benchOpens is how long a device on the bench has to open, beside its timeout.
	benchOpens = 9 * time.Second
	// benchListens is how long a device that speaks by itself has to say something.
	benchListens = 15 * time.Second
)

// Bench uses the devices of a config one by one, without a gateway. None may run
// that has them.
type Bench struct {
	config *Loaded
	buses  *bus.Set
	log    *slog.Logger
	keeper map[string]*drivers.Keeper
	mu     sync.Mutex // guards keeper
}

// Transaction is what has passed between the board and a chip.
type Transaction = bus.Transaction

// Bench gives one. Record, if it is not nil, is given each transaction on I2C and
// SPI.
func (l *Loaded) Bench(record func(Transaction), log *slog.Logger) *Bench {
	return &Bench{
		config: l, log: log, keeper: make(map[string]*drivers.Keeper),
		buses: bus.New(bus.Options{Configs: l.buses, Record: record, Log: log}),
	}
}

// Reading is what a device says now.
type Reading struct {
	Device gateway.DeviceID `json:"device"`
	// Label says for people which one it is.
	Label    string          `json:"label"`
	Readings []LatestReading `json:"readings"`
	// Error is why there are none, or not all.
	Error string `json:"error,omitempty"`
	// Latest says that the device speaks when it wants to, and that these are the
	// last of its readings.
	Latest bool `json:"latest,omitempty"`
}

// Read opens a device, if that was not done yet, and reads it once. Its error is
// that there is no such device, or that it must not be read here; what goes wrong
// with the device stands in the answer.
func (b *Bench) Read(ctx context.Context, id string) (Reading, error) {
	spec, err := b.config.device(id)
	if err != nil {
		return Reading{}, err
	}
	k := b.keep(spec)
	switch can := k.Contracts(); {
	case can.Sensor == nil && can.Stream == nil:
		return Reading{}, noReadings(spec)
	case moves(k):
		return Reading{}, fmt.Errorf("%s is an output: without the gateway, opening it would bring it into its safe state; start the gateway to read it: %w", spec.label(), gateway.ErrDenied)
	}
	return b.read(ctx, spec, k), nil
}

func noReadings(spec deviceSpec) error {
	return fmt.Errorf("%s gives no readings; what it can do says: fieldpost devices %s: %w", spec.label(), spec.ID, gateway.ErrInvalid)
}

// device finds a device of the config.
func (l *Loaded) device(id string) (deviceSpec, error) {
	var names []string
	for _, spec := range l.devices {
		if spec.ID == id {
			return spec, nil
		}
		names = append(names, spec.ID)
	}
	return deviceSpec{}, fmt.Errorf("there is no device %q; there is %s: %w", id, strings.Join(names, ", "), gateway.ErrInvalid)
}

// keep gives the keeper of a device.
func (b *Bench) keep(spec deviceSpec) *drivers.Keeper {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.keeper[spec.ID]
	if k == nil {
		k = drivers.NewKeeper(drivers.KeeperOptions{
			Driver: spec.driver, Config: spec.config, Buses: b.buses, Log: b.log,
			Memory: readOnly{newMemory(b.config.Gateway.DataDir, spec.ID, b.log)},
		})
		b.keeper[spec.ID] = k
	}
	return k
}

// readOnly is a memory that stays as the gateway has left it.
type readOnly struct{ gateway.Memory }

func (readOnly) Save([]byte) error { return nil }

func (b *Bench) read(ctx context.Context, spec deviceSpec, k *drivers.Keeper) Reading {
	var readings []gateway.Reading
	var err error
	if can := k.Contracts(); can.Sensor != nil {
		ctx, cancel := context.WithTimeout(ctx, benchOpens+spec.Timeout)
		defer cancel()
		readings, err = can.Sensor.Read(ctx)
	} else {
		readings, err = listen(ctx, can.Stream)
	}
	return reading(spec, pipeline.Measure(spec.Processing, gateway.DeviceID(spec.ID), time.Now(), readings), err)
}

// reading puts the answer of a device together.
func reading(spec deviceSpec, readings []gateway.Reading, err error) Reading {
	r := Reading{Device: gateway.DeviceID(spec.ID), Label: spec.label(), Readings: []LatestReading{}}
	for _, one := range readings {
		r.Readings = append(r.Readings, asLatest(one))
	}
	if err != nil {
		r.Error = withoutUnavailable(err)
	}
	return r
}

func asLatest(r gateway.Reading) LatestReading {
	return LatestReading{Name: r.Name, Value: r.Value, Unit: r.Unit, Time: r.Time, Quality: r.Quality}
}

// errNothingGood is what is wrong with a device that speaks and is not understood.
var errNothingGood = fmt.Errorf("nothing of what has come within %v was all good; check baud, parity, and the patterns and names in the config", benchListens)

// listen waits for the first readings of a stream among which none is bad: a line
// that has begun in the middle is not yet what the device says.
func listen(ctx context.Context, stream gateway.Stream) ([]gateway.Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, benchListens)
	defer cancel()
	heard := &firstHeard{enough: cancel}
	err := stream.Run(ctx, heard)
	heard.mu.Lock()
	defer heard.mu.Unlock()
	switch {
	case heard.good:
		return heard.readings, nil
	case err != nil && ctx.Err() == nil:
		return heard.readings, err
	case len(heard.readings) > 0:
		return heard.readings, errNothingGood
	}
	return nil, fmt.Errorf("it has said nothing within %v: %w", benchListens, gateway.ErrTimeout)
}

// firstHeard is a sink that is content with the first readings that are good.
type firstHeard struct {
	enough func()

	mu       sync.Mutex
	readings []gateway.Reading // the last ones while none are good
	good     bool
}

// Emit implements gateway.Sink.
func (f *firstHeard) Emit(_ context.Context, readings ...gateway.Reading) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.good || len(readings) == 0 {
		return nil
	}
	f.readings = slices.Clone(readings)
	f.good = !slices.ContainsFunc(readings, func(r gateway.Reading) bool { return r.Quality == gateway.Bad })
	if f.good {
		f.enough()
	}
	return nil
}

// Commit implements gateway.Sink. Nobody is promised anything here.
func (f *firstHeard) Commit(context.Context, ...[]gateway.Reading) ([]gateway.MessageID, error) {
	return nil, fmt.Errorf("nothing is kept without the gateway: %w", gateway.ErrUnavailable)
}

// Gap implements gateway.Sink: that something is lost is nothing to wait for.
func (f *firstHeard) Gap(context.Context, gateway.Gap) error { return nil }

// Close closes what was opened.
func (b *Bench) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for id, k := range b.keeper {
		if err := k.Close(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", id, err))
		}
	}
	return errors.Join(append(errs, b.buses.Close())...)
}
