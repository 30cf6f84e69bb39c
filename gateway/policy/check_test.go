package policy

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

// described are relays with these terms, and a tank that is measured.
func described(terms map[gateway.DeviceID]Terms) []Described {
	all := []Described{{Device: Device{ID: "tank"}, Quantities: map[string]gateway.Value{"level": gateway.Number(0)}}}
	for id, c := range terms {
		dev := &relay{id: string(id)}
		if c.OnlyWhileMaxAge == 0 {
			c.OnlyWhileMaxAge = 1
		}
		all = append(all, Described{
			Device:     Device{ID: id, Config: c, Actuator: dev, Stateful: dev, Safer: dev},
			Quantities: map[string]gateway.Value{"on": gateway.Bool(false)},
		})
	}
	return all
}

// TestCircles: what needs each other is refused, what excludes each other is not.
func TestCircles(t *testing.T) {
	for _, c := range []struct {
		a, b, c string
		circle  string
	}{
		{"b.on", "c.on", "", ""},
		{"b.on", "a.on", "", "a b"},
		{"b.on", "c.on", "a.on", "a b c"},
		{"not b.on", "not a.on", "", ""},
		{"not b.on", "a.on", "", ""},
		{"tank.level > 10 and b.on", "tank.level < 5 or a.on", "", "a b"},
		{"tank.level > 10 and tank.level < 20 and not b.on", "not a.on and tank.level > 15", "", ""},
		{"b.on or b.on == false", "a.on", "", ""}, // it holds whatever b does
	} {
		terms := map[gateway.DeviceID]Terms{"a": {OnlyWhile: c.a}, "b": {OnlyWhile: c.b}, "c": {OnlyWhile: c.c}}
		faults := Check(described(terms))
		var in []string
		for _, id := range []gateway.DeviceID{"a", "b", "c"} {
			if err := faults[id]; err != nil && strings.Contains(err.Error(), "circle") {
				in = append(in, string(id))
			} else if err != nil {
				t.Errorf("%+v: %v", c, err)
			}
		}
		if got := strings.Join(in, " "); got != c.circle {
			t.Errorf("%+v: in a circle are %q", c, got)
		}
	}
}

func TestOrder(t *testing.T) {
	inBubble(t, modelConfigs, func(t *testing.T, r *rig) {
		var groups []map[gateway.DeviceID]bool
		for _, group := range r.Order() {
			in := make(map[gateway.DeviceID]bool)
			for _, id := range group {
				in[id] = true
			}
			groups = append(groups, in)
		}
		want := []map[gateway.DeviceID]bool{{"heater": true, "forward": true, "backward": true}, {"pump": true}, {"valve": true}}
		if !reflect.DeepEqual(groups, want) {
			t.Errorf("%v, want %v", groups, want)
		}
	})
}

// TestNarrowedActions are what is declared, and so what is denied.
func TestNarrowedActions(t *testing.T) {
	bound := func(x float64) *float64 { return &x }
	for _, c := range []struct {
		terms Terms
		want  string
	}{
		{Terms{}, "ms 1 10000"},
		{Terms{MinOn: 2e9}, "ms 2000 10000"},
		{Terms{MaxOn: 5e9}, "ms 1 5000"},
		{Terms{MinOn: 11e9}, "none"}, // no pulse is long enough
		{Terms{Limits: map[string]map[string]Range{"pulse": {"ms": {Min: bound(0), Max: bound(200)}}}}, "ms 1 200"},
		{Terms{Limits: map[string]map[string]Range{"pulse": {"ms": {Max: bound(200)}}}, MaxOn: 1e8}, "ms 1 100"},
	} {
		got := "none"
		actions := Narrow(&relay{}, c.terms).Actions()
		for _, a := range actions {
			if a.Name == "pulse" {
				got = fmt.Sprintf("%s %v %v", a.Args[0].Name, *a.Args[0].Min, *a.Args[0].Max)
			}
		}
		if got != c.want || len(actions) < 3 {
			t.Errorf("%+v: %s, want %s", c.terms, got, c.want)
		}
	}
}

// chip has two outputs that its texts name.
type chip struct{ relay }

func (*chip) Actions() []gateway.Action {
	return []gateway.Action{{Name: "set", Args: []gateway.Arg{
		{Name: "pin", Type: gateway.ArgText, OneOf: []string{"a", "b"}}, {Name: "on", Type: gateway.ArgBool},
	}}}
}

func (*chip) After(cmd gateway.Command) map[string]gateway.Value {
	pin, _ := cmd.Args["pin"].(string)
	return map[string]gateway.Value{pin: gateway.Bool(true)}
}

func (*chip) AtRest() map[string]gateway.Value { return nil }

func TestOutputsAreFound(t *testing.T) {
	c := &chip{}
	if got := outputs(c, c.Actions()); !got["a"] || !got["b"] {
		t.Errorf("%v", got)
	}
}
