package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// TestCircles: rules that begin each other are told, with all of the circle; a rule
// that ends its own condition is none.
func TestCircles(t *testing.T) {
	rule := func(id, when string, do, otherwise *Do) Rule {
		return Rule{ID: id, When: when, Do: do, Otherwise: otherwise}
	}
	for name, c := range map[string]struct {
		rules []Rule
		want  string
	}{
		"two": {[]Rule{
			rule("a", "fan.on", set("lamp", true), nil), rule("x", "door.open", set("fan", true), nil), rule("b", "lamp.on", set("fan", true), nil),
		}, "rules[a]: … a, b, a"},
		"by otherwise": {[]Rule{rule("a", "fan.on", nil, set("lamp", true)), rule("b", "door.open and lamp.on", set("fan", false), nil)}, "rules[a]: … a, b, a"},
		"itself":       {[]Rule{rule("a", "fan.on", set("fan", false), set("fan", true))}, "rules[a]: … a, a"},
		"switch off":   {[]Rule{{ID: "a", When: "fan.on", For: time.Minute, Do: set("fan", false)}}, ""},
		"a chain":      {[]Rule{rule("a", "door.open", set("fan", true), nil), rule("b", "fan.on", set("lamp", true), nil)}, ""},
		"a sensor":     {[]Rule{rule("a", "air.temperature > 3", set("fan", true), nil)}, ""},
	} {
		all, err := Compile(c.rules, testWorld)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, a := range all.Advice {
			_, circle, _ := strings.Cut(a.Problem, ": ")
			got = append(got, a.Field+": … "+circle)
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestEmptyPartsOfTheDay are told; what is empty at some seasons, or places, is not.
func TestEmptyPartsOfTheDay(t *testing.T) {
	for between, empty := range map[string]bool{
		"sunrise and 02:00": true, "10:00 and dawn": true, "sunset and 14:00": true,
		"sunset and 23:00": false, "sunset and sunrise": false, "sunrise and sunset": false, "22:00 and 06:00": false, "04:30 and sunrise": false,
		"18:00 and sunset": false, "sunset-15m and 00:30": false,
	} {
		all, err := Compile([]Rule{{ID: "a", Between: between, Alert: "x"}}, testWorld)
		if err != nil {
			t.Fatal(err)
		}
		if told := len(all.Advice) == 1 && all.Advice[0].Field == "rules[a].between"; told != empty {
			t.Errorf("%s: %v", between, all.Advice)
		}
	}
}

// TestTooManyRules are refused.
func TestTooManyRules(t *testing.T) {
	var all []Rule
	for i := range MaxRules + 1 {
		all = append(all, Rule{ID: fmt.Sprintf("r%d", i), When: "door.open", Alert: "x"})
	}
	if _, err := Compile(all, testWorld); err == nil || !strings.Contains(err.Error(), "want at most 200") {
		t.Errorf("%v", err)
	}
	if s, err := Compile(all[1:], testWorld); err != nil || s.Len() != MaxRules {
		t.Errorf("%v", err)
	}
}

// TestAgeOfValues: three times the pace of the device, 5 minutes at least, or what the
// rule says.
func TestAgeOfValues(t *testing.T) {
	world := World{Devices: map[gateway.DeviceID]Device{"slow": {Every: time.Hour}, "quick": {Every: time.Second}, "unknown": {}}, Zone: time.UTC}
	for maxAge, want := range map[time.Duration]string{0: "[3h0m0s 5m0s 5m0s]", time.Minute: "[1m0s 1m0s 1m0s]"} {
		all, err := Compile([]Rule{{ID: "a", When: "slow.x > 1 and quick.x > 1", Until: "unknown.x < 1", MaxAge: maxAge, Alert: "x"}}, world)
		if err != nil {
			t.Fatal(err)
		}
		var ages []time.Duration
		for _, in := range all.rules[0].inputs {
			ages = append(ages, in.maxAge)
		}
		if fmt.Sprint(ages) != want {
			t.Errorf("%v", ages)
		}
	}
}
