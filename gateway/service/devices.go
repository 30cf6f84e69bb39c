package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/fieldpost/fieldpost/drivers"
	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// device is one device of the config at work.
type device struct {
	id     gateway.DeviceID
	spec   deviceSpec
	opened drivers.Device
	// source reads the device; nil for a pure actuator.
	source source
}

// source brings the readings of one device into the pipeline.
type source interface {
	Run(ctx context.Context) error
	Stats() pipeline.DeviceStats
}

// paced is a source whose pace can be set: that of a polled device.
type paced interface {
	SetPace(p pipeline.Pace)
}

// openDevices opens every device. One that cannot be opened is a health
// condition and stops nobody else, least of all the queue, which may have much
// to deliver.
func (s *Service) openDevices(ctx context.Context) {
	for _, spec := range s.config.devices {
		id := gateway.DeviceID(spec.ID)
		opened, err := spec.driver.Make(spec.config, s.buses)
		if err == nil && opened.Opener != nil {
			err = opened.Opener.Open(ctx)
		}
		if err != nil {
			s.health.Raise("device:"+spec.ID, health.Error, fmt.Sprintf("%s cannot be opened: %v", spec.label(), err))
			continue
		}
		s.devices = append(s.devices, &device{id: id, spec: spec, opened: opened})
	}
}

// openBuses makes ready what devices are wired to.
func (s *Service) openBuses() {
	s.buses = bus.New(bus.Options{Configs: s.config.buses, Log: s.log, Report: func(name string, problem error) {
		code := "bus:" + name
		if problem == nil {
			s.health.Clear(code)
			return
		}
		s.health.Raise(code, health.Error, problem.Error())
	}})
}

// label says for people which device it is: air (bme280 on i2c-1 at 0x76).
func (s *deviceSpec) label() string {
	if where := bus.Where(s.config); where != "" {
		return fmt.Sprintf("%s (%s on %s)", s.ID, s.Driver, where)
	}
	return fmt.Sprintf("%s (%s)", s.ID, s.Driver)
}

// closeDevices closes the devices, then what they are wired to.
func (s *Service) closeDevices() error {
	var errs []error
	for _, d := range s.devices {
		if d.opened.Close != nil {
			if err := d.opened.Close(); err != nil {
				errs = append(errs, fmt.Errorf("close device %s: %w", d.id, err))
			}
		}
	}
	return errors.Join(append(errs, s.buses.Close())...)
}

// connectDevices gives each device its way into the batcher of its lane.
func (s *Service) connectDevices() error {
	byLane := make(map[string]*pipeline.Batcher)
	for _, d := range s.devices {
		b := byLane[d.spec.Lane]
		if b == nil {
			var err error
			b, err = pipeline.NewBatcher(pipeline.BatcherOptions{
				Queue: s.queue, Clock: s.clock, Log: s.log, Health: s.health, Lane: gateway.Lane(d.spec.Lane),
				MaxBytes: int(s.config.Batch.MaxBytes), MaxAge: s.config.Batch.MaxAge,
				Thinning: s.meter.Thinning,
			})
			if err != nil {
				return err
			}
			byLane[d.spec.Lane] = b
			s.batchers = append(s.batchers, b)
		}
		if err := s.connect(d, b); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) connect(d *device, sink gateway.Sink) (err error) {
	switch {
	case d.opened.Sensor != nil:
		d.source, err = pipeline.NewPoller(pipeline.PollerOptions{
			Device: d.id, Sensor: d.opened.Sensor, Sink: sink, Clock: s.clock, Log: s.log, Health: s.health,
			Every: d.spec.Every, Timeout: d.spec.Timeout, Processing: d.spec.Processing,
		})
	case d.opened.Stream != nil:
		d.source, err = pipeline.NewRunner(pipeline.RunnerOptions{
			Device: d.id, Stream: d.opened.Stream, Sink: sink, Clock: s.clock, Log: s.log, Health: s.health,
			Processing: d.spec.Processing,
		})
	}
	return err
}

// run reads the device until ctx ends.
func (d *device) run(ctx context.Context) error {
	if d.source == nil {
		return nil
	}
	return d.source.Run(ctx)
}
