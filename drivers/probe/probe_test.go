package probe_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fieldpost/fieldpost/drivers"
	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/sensirion"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/drivers/probe"
	"github.com/fieldpost/fieldpost/gateway/service"
)

var update = flag.Bool("update", false, "write what comes out as what is wanted")

// readOnly is a chip that must not be written to.
type readOnly struct {
	t    *testing.T
	chip i2csim.Chip // nil for one that says 0x5a
	read *int
}

func (c readOnly) Tx(w, r []byte) error {
	if len(w) > 0 {
		c.t.Errorf("%x is written to a chip that must not be written to", w)
	}
	if c.read != nil {
		*c.read++
	}
	if c.chip != nil {
		return c.chip.Tx(nil, r)
	}
	copy(r, bytes.Repeat([]byte{0x5a}, len(r)))
	return nil
}

// untouched is a chip that must be left alone.
type untouched struct{ t *testing.T }

func (c untouched) Tx(w, r []byte) error {
	c.t.Errorf("a chip in use is asked %x for %d bytes", w, len(r))
	return nil
}

// mux is a multiplexer: it keeps what is written.
type mux struct {
	channels byte
	took     []byte
}

func (m *mux) Tx(w, r []byte) error {
	for _, b := range w {
		m.channels, m.took = b, append(m.took, b)
	}
	for i := range r {
		r[i] = m.channels
	}
	return nil
}

// tree makes files below a root, and links where a text begins with ->.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, link := strings.CutPrefix(text, "->"); link {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// pi is the tree of a board with something of everything.
var pi = map[string]string{
	"dev/i2c-hil-1":                   "",
	"dev/i2c-1":                       "",
	"sys/bus/i2c/devices/i2c-1/name":  "bcm2835 (i2c@7e804000)\n",
	"sys/bus/i2c/devices/1-0068/name": "ds3231\n", "sys/bus/i2c/devices/1-0068/driver": "->../../drivers/rtc-ds1307",
	"sys/bus/i2c/devices/1-001a/name": "wm8960\n",
	"dev/i2c-10":                      "",
	"sys/bus/i2c/devices/i2c-10/name": "SMBus I801 adapter at efa0\n",

	"sys/bus/w1/devices/w1_bus_master1/x":  "",
	"sys/bus/w1/devices/28-0316a2798bff/x": "",
	"sys/bus/w1/devices/29-00000012a4f0/x": "",
	"sys/bus/w1/devices/f0-00000012a4f0/x": "",

	"sys/class/hwmon/hwmon0/name": "cpu_thermal\n", "sys/class/hwmon/hwmon0/device": "->../../../devices/virtual/thermal/thermal_zone0",
	"sys/devices/virtual/thermal/thermal_zone0/subsystem": "->../../../../class/thermal",
	"sys/class/hwmon/hwmon1/name":                         "tmp105\n", "sys/class/hwmon/hwmon1/device": "->../../../devices/i2c-1/1-0049",
	"sys/bus/i2c/devices/1-0049/name": "tmp105\n", "sys/bus/i2c/devices/1-0049/driver": "->../../drivers/lm75",
	"sys/devices/i2c-1/1-0049/subsystem":  "->../../../bus/i2c",
	"sys/class/hwmon/hwmon2/name":         "w1_slave_temp\n",
	"sys/bus/iio/devices/iio:device0":     "->../../../devices/spi0.1/iio:device0",
	"sys/devices/spi0.1/iio:device0/name": "mcp3008\n", "sys/devices/spi0.1/subsystem": "->../../bus/spi",
	"sys/bus/iio/devices/trigger0/name": "x\n",

	"sys/bus/spi/devices/spi0.0/driver": "->../../drivers/spidev",
	"sys/bus/spi/devices/spi0.1/driver": "->../../drivers/mcp320x",
	"sys/bus/spi/devices/spi1.0/x":      "",

	"sys/class/tty/ttyUSB0/device/x": "", "dev/ttyUSB0": "",
	"sys/class/tty/ttyUSB1/device/x": "", "dev/ttyUSB1": "",
	"sys/class/tty/ttyAMA0/device/x": "", "sys/class/tty/ttyAMA0/type": "3\n", "dev/ttyAMA0": "",
	"sys/class/tty/ttyS3/device/x": "", "sys/class/tty/ttyS3/type": "0\n",
	"sys/class/tty/tty1/x":                                          "",
	"sys/class/tty/console/active":                                  "tty1 ttyAMA0\n",
	"dev/serial/by-path/platform-3f980000.usb-usb-0:1.2:1.0-port0":  "->../../ttyUSB0",
	"dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A9J1KX2V-if00-port0": "->../../ttyUSB0",
	"dev/serial/by-path/platform-3f980000.usb-usb-0:1.3:1.0-port0":  "->../../ttyUSB1",
}

func gpio() drivertest.GPIO {
	chip := drivertest.NewChip("gpiochip0", "pinctrl-bcm2711", "ID_SDA", "GPIO17", "", "GPIO4", "GPIO27")
	chip.TakenBy("GPIO4", "onewire@0")
	return drivertest.GPIO{chip}
}

func TestBoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expander := 0
		b := i2csim.New(map[uint16]i2csim.Chip{
			0x18: i2csim.NewMCP9808(),
			0x1a: untouched{t}, // the kernel's
			0x20: readOnly{t, i2csim.NewMCP23017(), &expander},
			0x23: untouched{t}, // the gateway's
			0x38: readOnly{t: t},
			0x40: readOnly{t: t}, // unknown
			0x44: i2csim.NewSHT3x(),
			0x48: readOnly{t: t, chip: i2csim.NewADS1115(func(byte) float64 { return 0 })},
			0x50: readOnly{t: t},
			0x68: untouched{t}, // the kernel's
			0x76: i2csim.Registers{0xd0: 0x61},
			0x77: i2csim.NewBME280(),
		})
		hardware := b.Hardware()
		hardware.GPIO = gpio()
		r, err := probe.Run(t.Context(), probe.Options{
			Root: tree(t, pi), Hardware: hardware, Drivers: some(t, "aht20", "bh1750", "bme280", "mcp9808", "sht3x", "sht4x", "tmp102"),
			Claims: []bus.Claim{{By: "device light", Device: "/dev/i2c-1", Address: 0x23}, {By: "device gps", Device: "/dev/ttyUSB1", Address: bus.Whole}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if expander == 0 {
			t.Error("the expander was not even read")
		}
		var text strings.Builder
		r.Print(&text)
		golden(t, "board.txt", text.String())
		loads(t, r.YAML())
	})
}

// some drivers, so that a new one does not change what the others find.
func some(t *testing.T, names ...string) (list []drivers.Driver) {
	t.Helper()
	for _, name := range names {
		d, known := drivers.Lookup(name)
		if !known {
			t.Fatalf("there is no driver %s", name)
		}
		list = append(list, d)
	}
	return list
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		t.Errorf("(%v) got\n%s\nwant %s:\n%s", err, got, path, want)
	}
}

// loads says whether a config is right once a part has been pasted into it.
func loads(t *testing.T, part string) *service.Loaded {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fieldpost.yaml")
	text := "upstreams:\n  - {type: mqtt, url: \"mqtt://127.0.0.1:1\"}\n" + part
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := service.Load(path)
	if err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	return l
}

// TestWhatEachDriverIsFor can be pasted once it is no comment any more, but for what
// the driver cannot do without.
func TestWhatEachDriverIsFor(t *testing.T) {
	tried := make(map[string]bool)
	for address := uint16(0x08); address <= 0x77; address++ {
		synctest.Test(t, func(t *testing.T) {
			b := on(t, address, readOnly{t: t}, func(o *probe.Options) { o.ReadOnly = true })
			guessed := probe.Report{I2C: []probe.I2CBus{b}}.YAML()
			for line := range strings.Lines(guessed) {
				entry, isEntry := strings.CutPrefix(line, "#   - ")
				switch {
				case !strings.HasPrefix(line, "#"):
					t.Errorf("a guess counts as found:\n%s", guessed)
				case isEntry && !strings.Contains(guessed, "in configs/examples/"+driverOf(entry)+".yaml"):
					loads(t, "devices:\n  - "+entry)
				}
				if isEntry {
					tried[driverOf(entry)] = true
				}
			}
		})
	}
	for _, d := range drivers.List() {
		if _, chipped := d.Config().(bus.Chipped); chipped && !tried[d.Name] {
			t.Errorf("the driver %s was never suggested", d.Name)
		}
	}
	if len(tried) < 5 {
		t.Errorf("only %d drivers were tried", len(tried))
	}
}

func driverOf(entry string) string {
	_, rest, _ := strings.Cut(entry, "driver: ")
	name, _, _ := strings.Cut(rest, ",")
	return name
}

// on is a bus with one chip, probed.
func on(t *testing.T, address uint16, chip i2csim.Chip, change func(*probe.Options)) probe.I2CBus {
	t.Helper()
	b := i2csim.New(map[uint16]i2csim.Chip{address: chip})
	hardware := b.Hardware()
	hardware.GPIO = gpio()
	o := probe.Options{Root: tree(t, map[string]string{"dev/i2c-1": ""}), Hardware: hardware}
	if change != nil {
		change(&o)
	}
	r, err := probe.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r.I2C[0]
}

func TestMultiplexerGetsBackWhatItHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mux{channels: 0x04}
		b := on(t, 0x76, m, nil)
		if len(b.Chips) != 1 || b.Chips[0].Driver != "" || !slices.Contains(b.Chips[0].Else, "a multiplexer such as PCA9548A") || len(b.Chips[0].Maybe) > 0 {
			t.Errorf("%+v", b.Chips)
		}
		if !bytes.Equal(m.took, []byte{0xd0, 0x04}) {
			t.Errorf("it took %x", m.took)
		}
	})
}

func TestReadOnlyWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := on(t, 0x77, readOnly{t: t, chip: i2csim.NewBME280()}, func(o *probe.Options) { o.ReadOnly, o.Commands = true, true })
		if len(b.Chips) != 1 || b.Chips[0].Chip != "" || b.Chips[0].Maybe[0].Driver != "bme280" {
			t.Errorf("%+v", b.Chips)
		}
	})
}

// TestCommands find chips that are silent when they are just read.
func TestCommands(t *testing.T) {
	for name, chip := range map[string]func() *i2csim.SHT{"SHT3x": i2csim.NewSHT3x, "SHT4x": i2csim.NewSHT4x} {
		synctest.Test(t, func(t *testing.T) {
			if b := on(t, 0x45, chip(), nil); len(b.Chips) != 0 || b.Problem != "" {
				t.Errorf("without commands: %+v", b)
			}
			b := on(t, 0x45, chip(), func(o *probe.Options) { o.Commands = true })
			if len(b.Chips) != 1 || b.Chips[0].Chip != name {
				t.Errorf("want %s: %+v", name, b)
			}
		})
	}
}

// obscure says who it is only after a command.
type obscure struct{ told bool }

func (c *obscure) Tx(w, r []byte) error {
	switch {
	case string(w) == "\x36\x82":
		c.told = true
	case len(w) > 0 || !c.told:
		return i2csim.NoAck()
	default:
		copy(r, sensirion.Append(nil, 1, 2, 3))
		c.told = false
	}
	return nil
}

// TestCommandWhereAnOutputCouldBe: one would have answered when it was read.
func TestCommandWhereAnOutputCouldBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		commands := func(o *probe.Options) { o.Commands = true }
		if b := on(t, 0x62, &obscure{}, commands); len(b.Chips) != 1 || b.Chips[0].Driver != "scd4x" {
			t.Errorf("%+v", b)
		}
		if b := on(t, 0x62, readOnly{t: t}, commands); len(b.Chips) != 1 || b.Chips[0].Chip != "" || !strings.Contains(b.Chips[0].Note, "analog output") {
			t.Errorf("%+v", b)
		}
	})
}

// TestWhereAByteCouldMoveSomething holds the list of package doc against the code.
func TestWhereAByteCouldMoveSomething(t *testing.T) {
	within := func(address uint16, ranges ...[2]uint16) bool {
		return slices.ContainsFunc(ranges, func(r [2]uint16) bool { return r[0] <= address && address <= r[1] })
	}
	for address := uint16(0x08); address <= 0x77; address++ {
		answered := within(address, [2]uint16{0x20, 0x3f}, [2]uint16{0x48, 0x67})
		silent := within(address, [2]uint16{0x30, 0x37}, [2]uint16{0x50, 0x5f})
		if (probe.Moves(address, true) != "") != answered || (probe.Moves(address, false) != "") != silent {
			t.Errorf("%#02x: %q, and where nobody answers %q", address, probe.Moves(address, true), probe.Moves(address, false))
		}
	}
}

// TestBusThatDoesNotWork is left at the first address that shows it.
func TestBusThatDoesNotWork(t *testing.T) {
	asked := 0
	b := i2csim.New(nil)
	b.Fault(func(uint16, []byte, []byte) error {
		asked++
		return errors.New("sysfs-i2c: connection timed out")
	})
	hardware := b.Hardware()
	hardware.GPIO = gpio()
	r, err := probe.Run(t.Context(), probe.Options{Root: tree(t, map[string]string{"dev/i2c-1": ""}), Hardware: hardware})
	if err != nil || asked != 1 || !strings.Contains(r.I2C[0].Problem, "0x08") || !strings.Contains(r.I2C[0].Problem, "held low") {
		t.Errorf("asked %d times (%v): %+v", asked, err, r.I2C)
	}
}

// TestChannelsOfTheKernel show what is behind the multiplexer alone.
func TestChannelsOfTheKernel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := tree(t, map[string]string{
			"dev/i2c-1": "", "dev/i2c-11": "",
			"sys/bus/i2c/devices/i2c-1": "->../../../devices/soc/i2c-1", "sys/devices/soc/i2c-1/name": "bcm2835\n",
			"sys/bus/i2c/devices/i2c-11": "->../../../devices/soc/i2c-1/i2c-11", "sys/devices/soc/i2c-1/i2c-11/name": "i2c-1-mux (chan_id 0)\n",
			"sys/bus/i2c/devices/1-0070/name": "pca9548\n", "sys/bus/i2c/devices/1-0070/driver": "->../../drivers/pca954x",
		})
		b := i2csim.New(map[uint16]i2csim.Chip{0x70: untouched{t}, 0x77: i2csim.NewBME280()})
		hardware := b.Hardware()
		hardware.GPIO = gpio()
		r, err := probe.Run(t.Context(), probe.Options{Root: root, Hardware: hardware})
		if err != nil || len(r.I2C) != 2 || len(r.I2C[0].Chips) != 2 || len(r.I2C[1].Chips) != 0 {
			t.Errorf("(%v) %+v", err, r.I2C)
		}
	})
}

func TestWhatIsMissing(t *testing.T) {
	for want, files := range map[string]map[string]string{
		"dtparam=i2c_arm=on":    {"x": ""},
		"modprobe i2c-dev":      {"sys/bus/i2c/devices/i2c-1/name": "x"},
		"dtoverlay=w1-gpio":     {"x": ""},
		"pull-up (4.7 kΩ)":      {"sys/bus/w1/devices/w1_bus_master1/x": ""},
		"There is no bus i2c-7": {"dev/i2c-1": ""},
	} {
		hardware := i2csim.New(nil).Hardware()
		hardware.GPIO = gpio()
		r, err := probe.Run(t.Context(), probe.Options{Root: tree(t, files), Hardware: hardware, I2C: []string{"i2c-7"}})
		if got := fmt.Sprint(r.Advice); err != nil || !strings.Contains(got, want) {
			t.Errorf("(%v) %s; want %s", err, got, want)
		}
	}
}
