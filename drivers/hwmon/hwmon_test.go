package hwmon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway"
)

// board is a tree of files; what ends in @ is a link.
func board(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		put(t, root, name, content)
	}
	return root
}

func put(t *testing.T, root, name, content string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	if link, ok := strings.CutSuffix(path, "@"); ok {
		if err = os.MkdirAll(filepath.Join(root, content), 0o755); err == nil {
			err = os.Symlink(filepath.Join(root, content), link)
		}
	} else {
		err = os.WriteFile(path, []byte(content), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// chips is what kernels show: a TMP105 and an INA3221 on I2C, and the processor.
var chips = map[string]string{
	"sys/class/hwmon/hwmon0/name":         "cpu_thermal\n",
	"sys/class/hwmon/hwmon0/temp1_input":  "25178\n",
	"sys/class/hwmon/hwmon1/name":         "tmp105\n",
	"sys/class/hwmon/hwmon1/device@":      "sys/devices/i2c-1/1-0048",
	"sys/class/hwmon/hwmon1/temp1_input":  "-12500\n",
	"sys/class/hwmon/hwmon1/temp1_max":    "80000\n",
	"sys/class/hwmon/hwmon2/name":         "ina3221\n",
	"sys/class/hwmon/hwmon2/device@":      "sys/devices/i2c-1/1-0040",
	"sys/class/hwmon/hwmon2/in1_input":    "5024\n",
	"sys/class/hwmon/hwmon2/in1_label":    "VDD Rail\n",
	"sys/class/hwmon/hwmon2/curr1_input":  "312\n",
	"sys/class/hwmon/hwmon2/power1_input": "1567000\n",
	"sys/class/hwmon/hwmon2/fan1_input":   "2100\n",
	"sys/class/hwmon/hwmon3/name":         "tmp105\n",
	"sys/class/hwmon/hwmon3/device@":      "sys/devices/i2c-1/1-0049",
	"sys/class/hwmon/hwmon3/temp1_input":  "21000\n",
	"sys/class/hwmon/hwmon3/temp1_fault":  "1\n",
}

func open(t *testing.T, root string, c Config) *Dev {
	t.Helper()
	d := &Dev{config: c, root: root}
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestContract(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) any { return open(t, board(t, chips), Config{Chip: "ina3221"}) })
}

func show(readings []gateway.Reading) string {
	var all []string
	for _, r := range readings {
		all = append(all, strings.TrimSpace(fmt.Sprint(r.Name, " ", r.Value, " ", r.Unit)))
	}
	return strings.Join(all, "; ")
}

func TestReads(t *testing.T) {
	root := board(t, chips)
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Chip: "cpu_thermal"}, "temperature.1 25.178 Cel"},
		{Config{Chip: "tmp105", Device: "1-0048"}, "temperature.1 -12.5 Cel"},
		{Config{Chip: "ina3221"}, "current.1 0.312 A; fan.1 2100 1/min; voltage.vdd_rail 5.024 V; power.1 1.567 W"},
		{Config{Chip: "ina3221", Channels: []string{"in1"}}, "voltage.vdd_rail 5.024 V"},
	} {
		readings, err := open(t, root, c.config).Read(t.Context())
		if got := show(readings); err != nil || got != c.want {
			t.Errorf("%+v: %s, %v; want %s", c.config, got, err, c.want)
		}
	}
}

func TestOpenSaysWhatIsThere(t *testing.T) {
	root := board(t, chips)
	for _, c := range []struct {
		config Config
		wrong  error
		says   string
	}{
		{Config{Chip: "lm75"}, gateway.ErrUnavailable, "it has cpu_thermal, tmp105, ina3221"},
		{Config{Chip: "tmp105"}, gateway.ErrInvalid, "several: 1-0048, 1-0049"},
		{Config{Chip: "tmp105", Device: "1-004a"}, gateway.ErrUnavailable, "it has it at 1-0048, 1-0049"},
		{Config{Chip: "ina3221", Channels: []string{"in7"}}, gateway.ErrInvalid, "it has curr1, fan1, in1, power1"},
	} {
		err := (&Dev{config: c.config, root: root}).Open(t.Context())
		if !errors.Is(err, c.wrong) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v; want %q", c.config, err, c.says)
		}
	}
	if err := (&Dev{config: Config{Chip: "lm75"}, root: t.TempDir()}).Open(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("without the class: %v", err)
	}
}

func TestBrokenChannel(t *testing.T) {
	d := open(t, board(t, chips), Config{Chip: "tmp105", Device: "1-0049"})
	if readings, err := d.Read(t.Context()); len(readings) > 0 || err == nil || !strings.Contains(err.Error(), "temp1: the chip says that its sensor is open or shorted") {
		t.Errorf("%v, %v", readings, err)
	}
}

// TestOneChannelFails has the others read all the same.
func TestOneChannelFails(t *testing.T) {
	root := board(t, chips)
	d := open(t, root, Config{Chip: "ina3221"})
	put(t, root, "sys/class/hwmon/hwmon2/curr1_input", "\x00\x00")
	readings, err := d.Read(t.Context())
	if !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), "curr1") || len(readings) != 3 {
		t.Errorf("%s, %v", show(readings), err)
	}
	if err := os.RemoveAll(filepath.Join(root, class, "hwmon2")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("the chip is gone: %v", err)
	}
}

func TestSameLabels(t *testing.T) {
	d := open(t, board(t, map[string]string{
		"sys/class/hwmon/hwmon0/name":           "x",
		"sys/class/hwmon/hwmon0/temp1_input":    "1000",
		"sys/class/hwmon/hwmon0/temp1_label":    "Core",
		"sys/class/hwmon/hwmon0/temp2_input":    "2000",
		"sys/class/hwmon/hwmon0/temp2_label":    "core",
		"sys/class/hwmon/hwmon0/power1_input":   "3000000",
		"sys/class/hwmon/hwmon0/power1_average": "4000000",
	}), Config{Chip: "x"})
	readings, err := d.Read(t.Context())
	if got, want := show(readings), "power.1 3 W; temperature.1 1 Cel; temperature.2 2 Cel"; err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

func TestEndures(t *testing.T) {
	drivertest.Endure(t, open(t, board(t, chips), Config{Chip: "ina3221"}))
}
