package drivers

import (
	"fmt"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// Driver is one row of the table.
type Driver struct {
	// Name is what `driver:` in the config says.
	Name string
	// Config returns a pointer to an empty config struct, to be decoded into.
	Config func() any
	// Make gives the device that a decoded config describes, on its bus. It
	// touches no hardware.
	Make func(config any, buses *bus.Set) (Device, error)

	// fulfils has the contracts of its devices, known without opening one.
	fulfils Device
}

// Device is whatever contracts a device fulfils, nil for the others.
type Device struct {
	Opener     gateway.Opener
	Sensor     gateway.Sensor
	Stream     gateway.Stream
	Actuator   gateway.Actuator
	Safer      gateway.Safer
	Stateful   gateway.Stateful
	Rememberer gateway.Rememberer
	Timekeeper gateway.Timekeeper
	Logger     gateway.Logger
	FileKeeper gateway.FileKeeper
	Fetcher    gateway.Fetcher
	Updater    gateway.Updater
	// Close frees what the device holds.
	Close func() error
}

// entry makes a row of the constructor of a driver that needs no bus: the type
// of the config and the contracts of the device follow from it.
func entry[C, D any](name string, open func(C) (D, error)) Driver {
	return wired(name, func(c C, _ *bus.Set) (D, error) { return open(c) })
}

// wired makes a row of the constructor of a driver whose devices are wired to
// a bus.
func wired[C, D any](name string, open func(C, *bus.Set) (D, error)) Driver {
	var none D
	return Driver{
		Name:   name,
		Config: func() any { return new(C) },
		Make: func(config any, buses *bus.Set) (Device, error) {
			c, ok := config.(*C)
			if !ok || c == nil {
				return Device{}, fmt.Errorf("driver %s: config is %T: %w", name, config, gateway.ErrInvalid)
			}
			d, err := open(*c, buses)
			if err != nil {
				return Device{}, err
			}
			return contracts(d), nil
		},
		fulfils: contracts(none),
	}
}

// Measures tells whether devices of the driver give readings.
func (d Driver) Measures() bool { return d.fulfils.Sensor != nil || d.fulfils.Stream != nil }

// Polled tells whether devices of the driver are read when it is time. Others that
// measure speak by themselves.
func (d Driver) Polled() bool { return d.fulfils.Sensor != nil }

// Acts tells whether devices of the driver can be asked to do something.
func (d Driver) Acts() bool { return d.fulfils.Actuator != nil }

// contracts finds out what a device can do.
func contracts(d any) Device {
	var device Device
	device.Opener, _ = d.(gateway.Opener)
	device.Sensor, _ = d.(gateway.Sensor)
	device.Stream, _ = d.(gateway.Stream)
	device.Actuator, _ = d.(gateway.Actuator)
	device.Safer, _ = d.(gateway.Safer)
	device.Stateful, _ = d.(gateway.Stateful)
	device.Rememberer, _ = d.(gateway.Rememberer)
	device.Timekeeper, _ = d.(gateway.Timekeeper)
	device.Logger, _ = d.(gateway.Logger)
	device.FileKeeper, _ = d.(gateway.FileKeeper)
	device.Fetcher, _ = d.(gateway.Fetcher)
	device.Updater, _ = d.(gateway.Updater)
	if c, ok := d.(interface{ Close() error }); ok {
		device.Close = c.Close
	}
	return device
}
