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

func (g *guest) place(t testing.TB, bus int, address uint16, kind string) {
	t.Helper()
	g.call(t, "Place", board.Chip{Bus: bus, Address: address, Kind: kind}, nil)
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
