package drivers

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
)

// noDrivers are the folders here that hold something else.
var noDrivers = []string{"drivertest", "bus", "probe"}

// TestEveryDriverIsComplete says what a new driver still lacks.
func TestEveryDriverIsComplete(t *testing.T) {
	folders, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range folders {
		if !f.IsDir() || slices.Contains(noDrivers, f.Name()) {
			continue
		}
		found++
		name := f.Name()
		if _, known := Lookup(name); !known {
			t.Errorf("driver %s: no line in list.go", name)
		}
		if !usesSuite(t, name) {
			t.Errorf("driver %s: no test that runs drivertest", name)
		}
		example, err := os.ReadFile(filepath.Join("..", "configs", "examples", name+".yaml"))
		if err != nil || !strings.Contains(string(example), "driver: "+name) {
			t.Errorf("driver %s: no example config with `driver: %s` (%v)", name, name, err)
		}
	}
	if found != len(table) {
		t.Errorf("%d folders, %d lines in list.go", found, len(table))
	}
}

func usesSuite(t *testing.T, name string) bool {
	t.Helper()
	tests, err := filepath.Glob(filepath.Join(name, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range tests {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, suite := range []string{"drivertest.Run(", "drivertest.I2C(", "drivertest.SPI("} {
			if strings.Contains(string(text), suite) {
				return true
			}
		}
	}
	return false
}

func TestTableIsSortedAndUsable(t *testing.T) {
	if !slices.IsSortedFunc(table, func(a, b Driver) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the table is not in the order of the names")
	}
	for _, d := range List() {
		if err := config.CheckTags(d.Config()); err != nil {
			t.Errorf("driver %s: %v", d.Name, err)
		}
		if f := d.fulfils; f.Sensor == nil && f.Stream == nil && f.Actuator == nil {
			t.Errorf("driver %s is no Sensor, no Stream and no Actuator; compare its methods with package gateway", d.Name)
		}
		if _, err := d.Make(5, nil); err == nil || !strings.Contains(err.Error(), d.Name) {
			t.Errorf("driver %s makes a device of a number: %v", d.Name, err)
		}
	}
	if _, known := Lookup("nothing"); known {
		t.Error("there is a driver called nothing")
	}
}

// everything fulfils all contracts.
type everything struct {
	gateway.Opener
	gateway.Sensor
	gateway.Stream
	gateway.Actuator
	gateway.Safer
	gateway.Stateful
}

func (*everything) Close() error { return nil }

func TestContractsFollowFromTheMethods(t *testing.T) {
	all := contracts(&everything{})
	if all.Opener == nil || all.Sensor == nil || all.Stream == nil || all.Actuator == nil || all.Safer == nil || all.Stateful == nil || all.Close == nil {
		t.Errorf("of a device that can do everything: %+v", all)
	}
	none := contracts(&struct{}{})
	if none.Sensor != nil || none.Stream != nil || none.Actuator != nil || none.Safer != nil || none.Stateful != nil || none.Close != nil {
		t.Errorf("of a device that can do nothing: %+v", none)
	}
}
