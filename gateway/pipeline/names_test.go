package pipeline

import (
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// TestQuantityThatNeverComes is said once the device has had its chance.
func TestQuantityThatNeverComes(t *testing.T) {
	c := mustChain(t, Processing{
		Calibrate: map[string]Calibration{"temperature": {Scale: 2}, "temprature": {Scale: 2}},
		Derive:    map[string]Derivation{"double": {Value: "2 * humidty", MaxAge: time.Minute}, "half": {Value: "temperature / 2", MaxAge: time.Minute}},
		Alerts:    []AlertRule{{ID: "a", When: "pressure > double"}},
		Window:    map[string]Window{"temperature": {Every: time.Minute, Of: []string{"mean", "count"}}},
		Deadband:  map[string]string{"temperature.mean": "1", "temperature.count": "1", "half": "1", "late": "1"},
	})
	in := []gateway.Reading{measured("temperature", 20, 0), measured("humidity", 50, 0)}
	for _, second := range []float64{0, 1, 59, 60} {
		if said := c.problems.summary(); said != "" {
			t.Errorf("before %v s: %s", second, said)
		}
		c.Apply(in, after(second))
	}
	const suffix = " has come; the device has temperature, humidity"
	var want []string
	for _, s := range []string{"alerts[a]: no reading named pressure", "calibrate.temprature: no reading named temprature", "deadband.late: no reading named late", "derive.double.value: no reading named humidty"} {
		want = append(want, s+suffix)
	}
	if got := c.problems.summary(); got != strings.Join(want, "; ") {
		t.Errorf("got  %s\nwant %s", got, strings.Join(want, "; "))
	}
	c.Apply([]gateway.Reading{measured("late", 1, 61)}, after(61))
	c.Apply(in, after(700))
	c.problems.news(after(700))
	if strings.Contains(c.problems.summary(), "late") {
		t.Errorf("late has come: %s", c.problems.summary())
	}
}

// TestWhatWindowsMakeComesAfterAlerts: a rule about a mean would never tell
// anything, so it is said, as is a summary that the window does not make.
func TestWhatWindowsMakeComesAfterAlerts(t *testing.T) {
	p := Processing{
		Alerts:    []AlertRule{{ID: "a", When: "level.mean > 1"}},
		Window:    map[string]Window{"level": {Every: time.Minute, Of: []string{"mean"}}},
		Deadband:  map[string]string{"level.mean": "1", "level.count": "1"},
		RateLimit: map[string]time.Duration{"level.mean": time.Minute},
	}
	err := p.Check(map[string]gateway.Value{"level": gateway.Number(1)})
	want := "deadband.level.count: there is no quantity \"level.count\"; this device has level\nalerts[a]: there is no quantity \"level.mean\"; this device has level"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestSlowDeviceHasItsChance, too: its first readings say little.
func TestSlowDeviceHasItsChance(t *testing.T) {
	c := mustChain(t, Processing{Calibrate: map[string]Calibration{"flow": {Scale: 2}}})
	for i, strange := range []bool{false, false, true} {
		c.Apply([]gateway.Reading{measured("level", 1, 0)}, after(3600*float64(i)))
		if said := c.problems.summary(); (said != "") != strange {
			t.Errorf("after reading %d: %q", i+1, said)
		}
	}
}
