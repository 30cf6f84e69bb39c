package iio

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

// chips are what kernels show, by the folder of the device on its bus.
var chips = map[string]map[string]string{
	"1-0076": {
		"name": "bmp280", "in_temp_input": "25080", "in_pressure_input": "100.653267578",
		"in_temp_oversampling_ratio": "2",
	},
	"1-0048": {
		"name": "ads1015", "in_voltage0_raw": "6400", "in_voltage0_scale": "0.062500000",
		"in_voltage0-voltage1_raw": "-160", "in_voltage0-voltage1_scale": "0.1875",
		"in_voltage0_sampling_frequency": "128",
	},
	"1-0068": {
		"name": "mpu6050", "in_accel_x_raw": "-16384", "in_accel_scale": "0.000598",
		"in_anglvel_z_raw": "100", "in_anglvel_scale": "0.001",
		"in_temp_raw": "-1000", "in_temp_scale": "2.941176", "in_temp_offset": "12420",
	},
	"1-0062": {
		"name": "scd30", "in_concentration_co2_raw": "612", "in_concentration_co2_scale": "0.0001",
		"in_humidityrelative_input": "44500", "in_timestamp_en": "1", "in_unknownthing_raw": "3",
	},
	"hx711":  {"name": "hx711", "in_voltage0_raw": "8388611"},
	"1-0077": {"name": "bmp280", "in_temp_input": "21000"},
}

// board is a tree with some of the chips.
func board(t *testing.T, devices ...string) string {
	t.Helper()
	root := t.TempDir()
	links := filepath.Join(root, class)
	if err := os.MkdirAll(links, 0o755); err != nil {
		t.Fatal(err)
	}
	for i, device := range devices {
		name := fmt.Sprintf("iio:device%d", i)
		dir := filepath.Join(root, "sys/devices", device, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, text := range chips[device] {
			put(t, dir, file, text+"\n")
		}
		if err := os.Symlink(dir, filepath.Join(links, name)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func put(t *testing.T, dir, file, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
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
	drivertest.Run(t, func(t *testing.T) any { return open(t, board(t, "1-0076"), Config{Chip: "bmp280"}) })
}

func show(readings []gateway.Reading) string {
	var all []string
	for _, r := range readings {
		n, _ := r.Value.Number()
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %.6g %s", r.Name, n, r.Unit)))
	}
	return strings.Join(all, "; ")
}

func TestReads(t *testing.T) {
	root := board(t, "1-0076", "1-0048", "1-0068", "1-0062", "hx711")
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Chip: "bmp280"}, "pressure 100653 Pa; temperature 25.08 Cel"},
		{Config{Chip: "ads1015"}, "voltage.0-1 -0.03 V; voltage.0 0.4 V"},
		{Config{Chip: "ads1015", Channels: []string{"voltage0"}}, "voltage.0 0.4 V"},
		{Config{Chip: "mpu6050"}, "acceleration.x -9.79763 m/s2; rotation.z 0.1 rad/s; temperature 33.5882 Cel"},
		{Config{Chip: "scd30", Device: "1-0062"}, "concentration.co2 612 ppm; humidity 44.5 %RH"},
		{Config{Chip: "hx711"}, "voltage.0.raw 8.38861e+06"},
	} {
		readings, err := open(t, root, c.config).Read(t.Context())
		if got := show(readings); err != nil || got != c.want {
			t.Errorf("%+v: %s, %v; want %s", c.config, got, err, c.want)
		}
	}
}

func TestSet(t *testing.T) {
	root := board(t, "1-0048")
	open(t, root, Config{Chip: "ads1015", Set: map[string]string{"in_voltage0_sampling_frequency": "250"}})
	text, err := os.ReadFile(filepath.Join(root, class, "iio:device0", "in_voltage0_sampling_frequency"))
	if err != nil || !strings.HasPrefix(string(text), "250") {
		t.Errorf("%q, %v", text, err)
	}
	d := &Dev{config: Config{Chip: "ads1015", Set: map[string]string{"in_voltage9_scale": "1"}}, root: root}
	if err := d.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "set in_voltage9_scale") {
		t.Errorf("an attribute that is not there: %v", err)
	}
	if err := (Config{Set: map[string]string{"../../x": "1"}}).Validate(); err == nil {
		t.Error("an attribute outside the chip was taken")
	}
}

func TestOpenSaysWhatIsThere(t *testing.T) {
	root := board(t, "1-0076", "1-0048", "1-0077")
	for _, c := range []struct {
		config Config
		wrong  error
		says   string
	}{
		{Config{Chip: "sht3x"}, gateway.ErrUnavailable, "it has bmp280, ads1015"},
		{Config{Chip: "bmp280"}, gateway.ErrInvalid, "several: 1-0076, 1-0077"},
		{Config{Chip: "bmp280", Device: "1-0075"}, gateway.ErrUnavailable, "it has it at 1-0076, 1-0077"},
		{Config{Chip: "ads1015", Channels: []string{"voltage5"}}, gateway.ErrInvalid, "it has voltage0-voltage1, voltage0"},
	} {
		err := (&Dev{config: c.config, root: root}).Open(t.Context())
		if !errors.Is(err, c.wrong) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v; want %q", c.config, err, c.says)
		}
	}
}

// TestUnboundAndBack has the kernel's driver leave and come back.
func TestUnboundAndBack(t *testing.T) {
	root := board(t, "1-0076")
	d := open(t, root, Config{Chip: "bmp280"})
	moved, dir := filepath.Join(root, "away"), filepath.Join(root, "sys/devices/1-0076")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("Read without the chip: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Open(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("Open without the chip: %v", err)
	}
	if err := os.Rename(moved, dir); err != nil {
		t.Fatal(err)
	}
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestOneChannelFails has the others read all the same.
func TestOneChannelFails(t *testing.T) {
	root := board(t, "1-0076")
	d := open(t, root, Config{Chip: "bmp280"})
	put(t, filepath.Join(root, class, "iio:device0"), "in_pressure_input", "")
	readings, err := d.Read(t.Context())
	if !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), "pressure") || show(readings) != "temperature 25.08 Cel" {
		t.Errorf("%s, %v", show(readings), err)
	}
}

func TestEndures(t *testing.T) {
	drivertest.Endure(t, open(t, board(t, "1-0076"), Config{Chip: "bmp280"}))
}
