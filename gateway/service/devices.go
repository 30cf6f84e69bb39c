package service

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/drivers"
	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
	"github.com/fieldpost/fieldpost/gateway/policy"
)

// device is one device of the config at work.
type device struct {
	id   gateway.DeviceID
	spec deviceSpec
	// keeper opens the device, whenever that can be done; can has its contracts.
	keeper *drivers.Keeper
	can    drivers.Device
	// actuator has the actions as the config narrows them; nil if there are none.
	actuator gateway.Actuator
	source   source
	stage    *stage
}

// source brings the readings of one device into the pipeline, and keeps its
// state.
type source interface {
	Run(ctx context.Context) error
	Stats() pipeline.DeviceStats
}

// paced is a source whose pace can be set: that of a polled device.
type paced interface {
	SetPace(p pipeline.Pace)
}

// processed is a source whose processing can be set: that of a device that measures.
type processed interface {
	SetProcessing(to pipeline.Processing) error
}

// keepDevices puts every device in the care of a keeper. None is opened yet: one
// that is absent, or cannot even be made, stops nobody else, least of all the
// queue, which may have much to deliver.
func (s *Service) keepDevices(config *Loaded) (list []*device) {
	for _, spec := range config.devices {
		list = append(list, s.newDevice(spec, config.Gateway.DataDir))
	}
	return list
}

func (s *Service) newDevice(spec deviceSpec, dataDir string) *device {
	log := s.log.With("device", spec.ID)
	keeper := drivers.NewKeeper(drivers.KeeperOptions{
		Driver: spec.driver, Config: spec.config, Buses: s.buses, Log: log,
		Memory: newMemory(dataDir, spec.ID, log), Files: firmwareDir(dataDir, spec.ID),
		Proxy:  func() *url.URL { return s.now().config.upstream.proxy() },
		Time:   func(now time.Time) { s.clock.Hear(spec.ID, now) },
		Safety: func(problem error) { s.safety(spec, problem) }, Changed: s.outputsChanged,
	})
	d := &device{id: gateway.DeviceID(spec.ID), spec: spec, keeper: keeper, can: keeper.Contracts()}
	d.narrow()
	return d
}

// narrow declares the actions within the bounds of the config.
func (d *device) narrow() {
	if d.can.Actuator != nil {
		d.actuator = policy.Narrow(d.can.Actuator, d.spec.Terms)
	}
}

// start lets the device say what it has to say.
func (d *device) start(ctx context.Context, report func(error)) {
	d.stage = newStage(ctx, "devices", report)
	d.stage.start(d.source.Run)
}

func (d *device) stop() { d.stage.stop() }

// outputsTime is how long a start waits for outputs to be found and made safe.
const outputsTime = 3 * time.Second

// makeSafe looks for every output, one group after the other, which brings it into its
// safe state. Whoever takes longer is waited for no more, but cannot be used before.
func makeSafe(ctx context.Context, groups ...[]*device) {
	for _, group := range groups {
		ctx, cancel := context.WithTimeout(ctx, outputsTime/time.Duration(len(groups)))
		var outputs sync.WaitGroup
		for _, d := range group {
			if d.can.Safer != nil {
				outputs.Go(func() { _ = d.keeper.Check(ctx) }) // its watcher asks again, and tells
			}
		}
		outputs.Wait()
		cancel()
	}
}

// safety states whether an output has taken its safe state.
func (s *Service) safety(spec deviceSpec, problem error) {
	s.set("unsafe:"+spec.ID, problem != nil, health.Error, fmt.Sprintf("%s did not take its safe state: %v", spec.label(), problem))
}

// openBuses makes ready what devices are wired to.
func (s *Service) openBuses(config *Loaded) {
	s.buses = bus.New(bus.Options{Configs: config.buses, Log: s.log, Report: func(name string, problem error) {
		code := "bus:" + name
		if problem == nil {
			s.health.Clear(code)
			return
		}
		s.health.Raise(code, health.Error, problem.Error())
	}})
}

// claims are what the devices and the buses use.
func (s *Service) claims() []Claim {
	claims := s.buses.MuxClaims()
	for _, d := range s.now().devices {
		claims = append(claims, s.buses.Claims("device "+d.spec.ID, d.spec.config)...)
	}
	return append([]Claim{}, claims...)
}

// label says for people which device it is: air (bme280 on i2c-1 at 0x76).
func (s *deviceSpec) label() string {
	if where := bus.Where(s.config); where != "" {
		return fmt.Sprintf("%s (%s on %s)", s.ID, s.Driver, where)
	}
	return fmt.Sprintf("%s (%s)", s.ID, s.Driver)
}

// stopAll stops devices, all at the same time.
func stopAll(devices []*device) {
	var stopping sync.WaitGroup
	for _, d := range devices {
		stopping.Go(d.stop)
	}
	stopping.Wait()
}

// closeDevices brings the outputs into their safe state and closes the devices,
// all at the same time.
func closeDevices(devices []*device) error {
	errs := make([]error, len(devices))
	var closing sync.WaitGroup
	for i, d := range devices {
		closing.Go(func() {
			if err := d.keeper.Close(); err != nil {
				errs[i] = fmt.Errorf("%s: %w", d.spec.label(), err)
			}
		})
	}
	closing.Wait()
	return errors.Join(errs...)
}

// connect gives a device its way into the batcher of its lane, and its alerts theirs.
func (s *Service) connect(d *device, config *Loaded) error {
	sink, err := s.lanes.of(gateway.Lane(d.spec.Lane))
	if err != nil {
		return err
	}
	told := newAlertMemory(config.Gateway.DataDir, d.spec.ID, s.log.With("device", d.spec.ID))
	alerts, err := s.lanes.alerts() // of a device that has none, too: they may come
	if err != nil {
		return err
	}
	switch {
	case d.can.Sensor != nil:
		d.source, err = pipeline.NewPoller(pipeline.PollerOptions{
			Device: d.id, Label: d.spec.label(), Sensor: d.can.Sensor, Sink: sink, Clock: s.clock, Log: s.log, Health: s.health,
			Every: d.spec.Every, Timeout: d.spec.Timeout, Processing: d.spec.Processing, Alerts: alerts, AlertMemory: told, Latest: s.latest.Put,
		})
	case d.can.Stream != nil:
		d.source, err = pipeline.NewRunner(pipeline.RunnerOptions{
			Device: d.id, Label: d.spec.label(), Stream: d.can.Stream, Sink: sink, Clock: s.clock, Log: s.log, Health: s.health,
			Processing: d.spec.Processing, Alerts: alerts, AlertMemory: told, Latest: s.latest.Put,
		})
	default:
		d.source, err = pipeline.NewWatcher(pipeline.WatcherOptions{
			Device: d.id, Label: d.spec.label(), Checker: d.keeper, Health: s.health,
		})
	}
	return err
}
