//go:build board

package systemtest

import (
	"testing"

	"github.com/fieldpost/fieldpost/scripts/board"
)

// bind lets the kernel's own driver serve a chip, until the end of the test.
func (g *guest) bind(t *testing.T, bus, kind, address string) {
	t.Helper()
	dir := "/sys/bus/i2c/devices/i2c-" + bus
	g.write(t, dir+"/new_device", kind+" "+address)
	t.Cleanup(func() { g.write(t, dir+"/delete_device", address) })
}

// place puts a chip on a bus, until the end of the test.
func (g *guest) place(t testing.TB, bus int, address uint16, kind string) {
	t.Helper()
	g.call(t, "Place", board.Chip{Bus: bus, Address: address, Kind: kind}, nil)
	t.Cleanup(func() {
		g.call(t, "Place", board.Chip{Bus: bus, Address: address}, nil)
		for _, address := range []uint16{0, address} {
			g.fault(t, bus, address, "")
		}
	})
}

func (g *guest) fault(t testing.TB, bus int, address uint16, kind string) {
	t.Helper()
	g.call(t, "Fault", board.Fault{Bus: bus, Address: address, Kind: kind}, nil)
}

// boardHwmon reads a thermometer that the kernel's driver lm75 serves, whose bus
// fails for a while.
func boardHwmon(t *testing.T, b *boardGateway) {
	b.place(t, 1, 0x48, "lm75")
	b.bind(t, "1", "lm75", "0x48")
	b.start(t, "devices: [{id: cabinet, driver: hwmon, chip: lm75, device: 1-0048, every: 1s}]\n")
	b.await(t, "cabinet", "temperature.1", is(25.5))

	b.fault(t, 1, 0x48, board.NoAnswer)
	b.awaitTrouble(t, "cabinet", "temp1", "remote I/O error")
	b.fault(t, 1, 0x48, board.Stuck)
	b.awaitTrouble(t, "cabinet", "temp1", "timed out")
	b.fault(t, 1, 0x48, "")
	b.awaitGood(t, "cabinet")
}

// boardI2C reads chips by fieldpost's own drivers. One is taken away and comes
// back; then its bus hangs, and the other bus goes on.
func boardI2C(t *testing.T, b *boardGateway) {
	b.place(t, 1, 0x76, "bme280")
	b.place(t, 2, 0x77, "bmp280")
	b.start(t, `devices:
  - {id: air, driver: bme280, bus: i2c-1, address: 0x76, every: 1s}
  - {id: cellar, driver: bme280, bus: i2c-2, address: 0x77, every: 1s}
`)
	b.await(t, "air", "temperature", near(25.08))
	b.await(t, "cellar", "temperature", near(25.08))

	b.fault(t, 1, 0x76, board.NoAnswer)
	b.awaitTrouble(t, "air", "no answer")
	b.fault(t, 1, 0x76, "")
	b.awaitGood(t, "air")
	b.await(t, "air", "temperature", near(25.08))

	b.fault(t, 1, 0, board.Stuck)
	b.awaitTrouble(t, "air", "timed out")
	b.await(t, "cellar", "temperature", near(25.08))
	b.awaitGood(t, "cellar")
	b.fault(t, 1, 0, "")
	b.awaitGood(t, "air")
}

// boardExpander has its pins moved, and is plugged in anew while a pump is on: it
// has forgotten that, and the pump stays off.
func boardExpander(t *testing.T, b *boardGateway) {
	const door, pump = 1 << 0, 1 << 8 // A0, B0
	b.place(t, 1, 0x20, "mcp23017")
	b.place(t, 1, 0x48, "ads1115")
	b.pins(t, 1, 0x20, door)
	b.start(t, `devices:
  - {id: tank, driver: ads1115, bus: i2c-1, address: 0x48, every: 1s, inputs: [{pins: AIN2}]}
  - id: io
    driver: mcp23017
    bus: i2c-1
    address: 0x20
    every: 1s
    pins:
      - {pin: A0, name: closed, direction: in, pull_up: true, invert: true}
      - {pin: B0, name: pump, direction: out, invert: true, safe: off}
`)
	b.await(t, "tank", "voltage.2", near(0.6))
	b.await(t, "io", "closed", is(false))
	b.pins(t, 1, 0x20, 0)
	b.await(t, "io", "closed", is(true))

	if ended := b.run(t, fieldpost, "do", "--socket", boardSocket, "io", "set", "pin=pump", "on=true"); ended.Code != 0 {
		t.Errorf("fieldpost do io set pin=pump on=true: %s", ended.Output)
	}
	if out := b.pins(t, 1, 0x20, 0); out&pump != 0 {
		t.Errorf("the latches hold %#x, want the pump on", out)
	}
	b.await(t, "io", "pump", is(true))
	b.place(t, 1, 0x20, "mcp23017")
	b.await(t, "io", "pump", is(false))
	if out := b.pins(t, 1, 0x20, 0); out&pump == 0 {
		t.Errorf("the latches hold %#x, want the pump off", out)
	}
	b.awaitGood(t, "io")
}

// pins drives the inputs of an expander and gives what its outputs hold.
func (g *guest) pins(t testing.TB, bus int, address, in uint16) (out uint16) {
	t.Helper()
	g.call(t, "Pins", board.Pins{Bus: bus, Address: address, In: in}, &out)
	return out
}

// boardIIO reads chips that the kernel's own drivers of converters and
// barometers serve; the values are those of the barometer's data sheet.
func boardIIO(t *testing.T, b *boardGateway) {
	b.place(t, 1, 0x76, "bmp280")
	b.place(t, 2, 0x49, "ads1115")
	b.bind(t, "1", "bmp280", "0x76")
	b.bind(t, "2", "ads1115", "0x49")
	b.start(t, `devices:
  - {id: air, driver: iio, chip: bmp280, device: 1-0076, every: 1s}
  - {id: tank, driver: iio, chip: ads1015, device: 2-0049, channels: [voltage2], every: 1s}
`)
	b.await(t, "air", "temperature", near(25.08))
	b.await(t, "air", "pressure", func(v any) bool { return v.(float64) > 100652 && v.(float64) < 100654 })
	b.await(t, "tank", "voltage.2", near(0.6))

	b.fault(t, 1, 0x76, board.NoAnswer)
	b.awaitTrouble(t, "air", "remote I/O error")
	b.fault(t, 2, 0, board.Stuck)
	b.awaitTrouble(t, "tank", "timed out")
	b.fault(t, 1, 0x76, "")
	b.awaitGood(t, "air") // while the other bus is still stuck
	b.fault(t, 2, 0, "")
	b.awaitGood(t, "tank")
}
