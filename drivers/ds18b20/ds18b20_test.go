package ds18b20

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway"
)

const (
	good  = "72 01 4b 46 7f ff 0e 10 57 : crc=57 YES\n72 01 4b 46 7f ff 0e 10 57 t=23125\n"
	hot   = "2c 05 4b 46 7f ff 04 10 00 : crc=00 YES\n2c 05 4b 46 7f ff 04 10 00 t=82750\n"
	reset = "50 05 4b 46 7f ff 0c 10 1c : crc=1c YES\n50 05 4b 46 7f ff 0c 10 1c t=85000\n"
)

// board is a tree with sensors, by their code, and what w1_slave says.
func board(t *testing.T, sensors map[string]string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, devices, "w1_bus_master1"), 0o755); err != nil {
		t.Fatal(err)
	}
	for code, text := range sensors {
		say(t, root, code, text)
	}
	return root
}

func say(t *testing.T, root, code, text string) {
	t.Helper()
	dir := filepath.Join(root, devices, code)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "w1_slave"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, root string, c Config) *Dev {
	t.Helper()
	d := at(c, root)
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

const code = "28-0316a2798bff"

func TestContract(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) any {
		return open(t, board(t, map[string]string{code: good}), Config{Sensor: code})
	})
}

func TestReads(t *testing.T) {
	root := board(t, map[string]string{code: good})
	d := open(t, root, Config{}) // the only one
	for _, step := range []struct {
		text    string
		celsius float64
		wrong   error
		says    string
	}{
		{text: good, celsius: 23.125},
		{text: reset, wrong: gateway.ErrInvalid, says: "power"},
		{text: hot, celsius: 82.75},
		{text: reset, celsius: 85}, // near the one before
		{text: strings.Replace(good, "YES", "NO", 1), wrong: gateway.ErrInvalid, says: "checksum"},
		{text: "00 00 00 00 00 00 00 00 00 : crc=00 YES\n00 00 00 00 00 00 00 00 00 t=0\n", wrong: gateway.ErrUnavailable, says: "shorted"},
		{text: "", wrong: gateway.ErrUnavailable, says: "does not answer"},
		{text: strings.Replace(good, "23125", "127937", 1), wrong: gateway.ErrInvalid, says: "beyond"},
		{text: "\x00\x00\x00", wrong: gateway.ErrInvalid, says: "want two lines"},
		{text: strings.Replace(good, "23125", "-5062", 1), celsius: -5.062},
	} {
		say(t, root, code, step.text)
		readings, err := d.Read(t.Context())
		if step.wrong != nil {
			if !errors.Is(err, step.wrong) || !strings.Contains(err.Error(), step.says) || len(readings) > 0 {
				t.Errorf("%.40q: %v, %v; want %v with %q", step.text, readings, err, step.wrong, step.says)
			}
			continue
		}
		if err != nil || len(readings) != 1 || readings[0].Value != gateway.Number(step.celsius) || readings[0].Unit != "Cel" {
			t.Errorf("%.40q: %v, %v; want %v", step.text, readings, err, step.celsius)
		}
	}
}

func TestUnpluggedAndBack(t *testing.T) {
	root := board(t, map[string]string{code: good})
	d := open(t, root, Config{Sensor: code})
	if err := os.RemoveAll(filepath.Join(root, devices, code)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("Read without the sensor: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Open(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "pull-up") {
		t.Errorf("Open without the sensor: %v", err)
	}
	say(t, root, code, good)
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read(t.Context()); err != nil {
		t.Errorf("Read with the sensor back: %v", err)
	}
}

func TestOpenSaysWhatIsThere(t *testing.T) {
	two := board(t, map[string]string{code: good, "10-000802b4ba0e": good})
	for _, c := range []struct {
		root, sensor, says string
		wrong              error
	}{
		{two, "", "several: 10-000802b4ba0e, 28-0316a2798bff", gateway.ErrInvalid},
		{two, "28-00000000cafe", "no answer; there are 10-000802b4ba0e, 28-0316a2798bff", gateway.ErrUnavailable},
		{t.TempDir(), "", "dtoverlay=w1-gpio", gateway.ErrUnavailable},
	} {
		err := at(Config{Sensor: c.sensor}, c.root).Open(t.Context())
		if !errors.Is(err, c.wrong) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("sensor %q: %v; want %q", c.sensor, err, c.says)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{good, reset, "", "\n", ":\nt=", "crc=00 YES\nt=1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		celsius, err := parse(text)
		if err != nil && !errors.Is(err, gateway.ErrInvalid) && !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && (celsius != celsius || celsius < -3e6 || celsius > 3e6) {
			t.Errorf("%q: %v", text, celsius)
		}
	})
}

func TestEndures(t *testing.T) {
	drivertest.Endure(t, open(t, board(t, map[string]string{code: good}), Config{Sensor: code}))
}
