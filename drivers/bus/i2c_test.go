package bus_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/gateway"
)

// TestI2CErrorsAreExplained: an adapter says what has happened by a number, of
// which periph passes on the text.
func TestI2CErrorsAreExplained(t *testing.T) {
	for text, want := range map[string]struct {
		says  string
		kinds []error
	}{
		"sysfs-i2c: remote I/O error":                 {"no answer", []error{bus.ErrNoAnswer, gateway.ErrUnavailable}},
		"sysfs-i2c: no such device or address":        {"no answer", []error{bus.ErrNoAnswer, gateway.ErrUnavailable}},
		"sysfs-i2c: connection timed out":             {"wire held low", []error{gateway.ErrTimeout, gateway.ErrUnavailable}},
		"sysfs-i2c: resource temporarily unavailable": {"second controller", []error{gateway.ErrUnavailable}},
		"sysfs-i2c: input/output error":               {"pull-ups", []error{gateway.ErrUnavailable}},
		"sysfs-i2c: invalid address":                  {"invalid address", nil},
	} {
		sim := i2csim.New(nil)
		sim.Fault(func(uint16, []byte, []byte) error { return errors.New(text) })
		b := open(t, sim.Hardware(), nil)
		err := b.Tx(0x40, []byte{1}, make([]byte, 2))
		if err == nil || !strings.Contains(err.Error(), want.says) {
			t.Errorf("%s: %v, want it to say %q", text, err, want.says)
		}
		for _, kind := range want.kinds {
			if !errors.Is(err, kind) {
				t.Errorf("%s: %v is no %v", text, err, kind)
			}
		}
	}
}

// open opens the bus i2c-1.
func open(t *testing.T, hardware bus.Hardware, report func(string, error)) *bus.I2C {
	t.Helper()
	buses := bus.New(bus.Options{Hardware: hardware, Report: report})
	t.Cleanup(func() { _ = buses.Close() })
	b, err := buses.I2C("i2c-1")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDevicesShareOneBus: it is opened once, and asked one at a time.
func TestDevicesShareOneBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := i2csim.New(map[uint16]i2csim.Chip{0x76: i2csim.NewBME280(), 0x77: i2csim.NewBMP280()})
		var mu sync.Mutex
		inside, opened := 0, 0
		sim.Fault(func(uint16, []byte, []byte) error {
			mu.Lock()
			inside++
			if inside > 1 {
				t.Errorf("%d transactions at a time", inside)
			}
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			inside--
			mu.Unlock()
			return nil
		})
		buses := bus.New(bus.Options{Hardware: bus.Hardware{I2C: func(number int) (i2c.BusCloser, error) {
			opened++
			if number != 1 {
				t.Errorf("bus %d is opened", number)
			}
			return sim, nil
		}}})
		var all sync.WaitGroup
		for _, chip := range []struct {
			address uint16
			id      byte
		}{{0x76, 0x60}, {0x77, 0x58}} {
			b, err := buses.I2C("i2c-1")
			if err != nil {
				t.Fatal(err)
			}
			for range 50 {
				all.Go(func() {
					var id [1]byte
					if err := b.Tx(chip.address, []byte{0xd0}, id[:]); err != nil || id[0] != chip.id {
						t.Errorf("%#02x: id %x (%v)", chip.address, id, err)
					}
				})
			}
		}
		all.Wait()
		if opened != 1 {
			t.Errorf("opened %d times", opened)
		}
		if err := buses.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestLateAnswerIsNobodys: what comes after a transaction was given up does not
// touch the caller's buffer, and the bus is back.
func TestLateAnswerIsNobodys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := i2csim.New(map[uint16]i2csim.Chip{0x76: i2csim.NewBME280()})
		release := make(chan struct{})
		sim.Fault(func(uint16, []byte, []byte) error { <-release; return nil })
		var told []string
		b := open(t, sim.Hardware(), func(name string, problem error) { told = append(told, fmt.Sprintf("%s %v", name, problem != nil)) })
		id := make([]byte, 1)
		if err := b.Tx(0x76, []byte{0xd0}, id); !errors.Is(err, gateway.ErrTimeout) || !strings.Contains(err.Error(), "0x76") {
			t.Errorf("a bus that is stuck: %v", err)
		}
		close(release)
		time.Sleep(time.Second)
		if id[0] != 0 {
			t.Errorf("the late answer is in the buffer: %x", id)
		}
		if err := b.Tx(0x76, []byte{0xd0}, id); err != nil || id[0] != 0x60 {
			t.Errorf("when it is back: %x (%v)", id, err)
		}
		if got := strings.Join(told, ", "); got != "i2c-1 true, i2c-1 false" {
			t.Errorf("told: %s", got)
		}
	})
}

// TestCloseNamesAStuckBus, and does not wait for it.
func TestCloseNamesAStuckBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := i2csim.New(nil)
		release := make(chan struct{})
		sim.Fault(func(uint16, []byte, []byte) error { <-release; return nil })
		buses := bus.New(bus.Options{Hardware: sim.Hardware()})
		b, err := buses.I2C("i2c-1")
		if err != nil {
			t.Fatal(err)
		}
		_ = b.Tx(0x76, []byte{0xd0}, nil)
		begun := time.Now()
		if err := buses.Close(); !errors.Is(err, gateway.ErrTimeout) || !strings.Contains(err.Error(), "i2c-1") || time.Since(begun) > 5*time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		close(release)
		if err := b.Tx(0x76, []byte{0xd0}, nil); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("after Close: %v", err)
		}
		if _, err := buses.I2C("i2c-1"); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("opened after Close: %v", err)
		}
		time.Sleep(time.Second) // it comes to its end
	})
}

// TestBusesThatCannotBeOpened: the error says what to look at.
func TestBusesThatCannotBeOpened(t *testing.T) {
	buses := bus.New(bus.Options{Hardware: bus.Hardware{I2C: func(int) (i2c.BusCloser, error) {
		return nil, fmt.Errorf("open /dev/i2c-7: %w", fs.ErrPermission)
	}}})
	defer buses.Close()
	_, err := buses.I2C("i2c-7")
	if !errors.Is(err, gateway.ErrUnavailable) || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "may this user open /dev/i2c-7 (group i2c)") {
		t.Error(err)
	}
	if _, err := buses.I2C("garden"); !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), `no bus "garden"`) {
		t.Error(err)
	}
}

// TestAdapterUnpluggedAndBack: the file that was open leads nowhere for ever, so
// it is opened anew.
func TestAdapterUnpluggedAndBack(t *testing.T) {
	sim := i2csim.New(map[uint16]i2csim.Chip{0x76: i2csim.NewBME280()})
	plugged, opened := true, 0
	hardware := bus.Hardware{I2C: func(number int) (i2c.BusCloser, error) {
		if !plugged {
			return nil, fs.ErrNotExist
		}
		opened++
		mine := opened
		sim.Fault(func(uint16, []byte, []byte) error {
			if !plugged || mine != opened {
				return errors.New("sysfs-i2c: no such device")
			}
			return nil
		})
		return sim.Hardware().I2C(number)
	}}
	b := open(t, hardware, nil)
	id := make([]byte, 1)
	ask := func() error { return b.Tx(0x76, []byte{0xd0}, id) }
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	plugged = false
	for range 3 {
		if err := ask(); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "unplugged") {
			t.Errorf("without the adapter: %v", err)
		}
	}
	plugged = true
	for range 2 {
		if err := ask(); err != nil || id[0] != 0x60 {
			t.Errorf("with the adapter back: %v, id %#x", err, id[0])
		}
	}
	if opened != 2 {
		t.Errorf("opened %d times, want 2", opened)
	}
}

// TestSpeedIsNotTheDevices: one driver must not change what others rely on.
func TestSpeedIsNotTheDevices(t *testing.T) {
	b := open(t, i2csim.New(nil).Hardware(), nil)
	if err := b.SetSpeed(400 * physic.KiloHertz); !errors.Is(err, gateway.ErrInvalid) {
		t.Error(err)
	}
	if b.String() != "i2c-1" {
		t.Errorf("its name is %v", b)
	}
}
