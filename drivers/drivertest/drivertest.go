// Package drivertest checks that a device keeps what the pipeline and the
// dispatcher build on. Each driver runs the suite in its own tests:
//
//	drivertest.Run(t, func(t *testing.T) any { … return dev })
//
// Every contract of package gateway that the device fulfils is checked. The suite
// opens a device that must be opened (one that is open already it closes first).
// The device must be one that works: what it does when the hardware fails is for
// the driver's own tests.
package drivertest

import (
	"context"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// patient is how long a driver may take for what it should do at once, on a
	// machine that is busy.
	patient = 5 * time.Second
	// briefly is how long a device is left to itself.
	briefly = 100 * time.Millisecond
)

// Run checks a device; open gives a new one, which the suite closes.
func Run(t *testing.T, open func(t *testing.T) any) {
	dev := opened(t, open)
	sensor, isSensor := dev.(gateway.Sensor)
	stream, isStream := dev.(gateway.Stream)
	actuator, isActuator := dev.(gateway.Actuator)
	safer, isSafer := dev.(gateway.Safer)
	if !isSensor && !isStream && !isActuator {
		t.Fatalf("%T is no gateway.Sensor, Stream or Actuator", dev)
	}
	if isSensor {
		t.Run("sensor", func(t *testing.T) { testSensor(t, sensor) })
	}
	if isActuator {
		t.Run("actuator", func(t *testing.T) { testActuator(t, actuator) })
	}
	if isSensor && isActuator {
		t.Run("read while it acts", func(t *testing.T) { testReadWhileActing(t, sensor, actuator) })
	}
	if isSafer {
		t.Run("safe state", func(t *testing.T) { testSafe(t, safer) })
	}
	if stateful, ok := dev.(gateway.Stateful); ok && isActuator {
		t.Run("state", func(t *testing.T) { testState(t, stateful, actuator) })
	}
	if isStream {
		t.Run("stream", func(t *testing.T) { testStream(t, stream) })
	}
	t.Run("close twice", func(t *testing.T) {
		twice := opened(t, open)
		closeDevice(t, twice)
		closeDevice(t, twice)
	})
	if _, isOpener := dev.(gateway.Opener); isOpener {
		t.Run("life", func(t *testing.T) { testLife(t, open) })
	}
}

// opened is an open device that is closed when the test ends.
func opened(t *testing.T, open func(t *testing.T) any) any {
	t.Helper()
	dev := made(t, open)
	openDevice(t, dev)
	return dev
}

// made is a device that is not open yet, and is closed when the test ends.
func made(t *testing.T, open func(t *testing.T) any) any {
	t.Helper()
	dev := open(t)
	t.Cleanup(func() { closeDevice(t, dev) })
	if _, ok := dev.(gateway.Opener); ok {
		closeDevice(t, dev)
	}
	return dev
}

func openDevice(t *testing.T, dev any) {
	t.Helper()
	opener, ok := dev.(gateway.Opener)
	if !ok {
		return
	}
	within(t, "Open", func() {
		if err := opener.Open(t.Context()); err != nil {
			t.Errorf("Open: %v", err)
		}
	})
}

func closeDevice(t *testing.T, dev any) {
	t.Helper()
	if closer, ok := dev.(interface{ Close() error }); ok {
		if err := closer.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

// within fails the test if f has not returned in time.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	timer := time.NewTimer(patient)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		t.Fatalf("%s has not returned within %v; it must not outlive its context", what, patient)
	}
}

// ended is a context that is over.
func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
