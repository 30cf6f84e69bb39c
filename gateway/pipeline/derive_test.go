package pipeline

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// TestDerivation: of what comes together, in the order of need, dated and
// judged like what it is made of.
func TestDerivation(t *testing.T) {
	most := 50.0
	c := mustChain(t, Processing{
		Calibrate:  map[string]Calibration{"temperature": {Scale: 1, Offset: 1}},
		ValidRange: map[string]ValidRange{"sum": {Max: &most}},
		Derive: map[string]Derivation{
			"a_half": {Value: "sum / 2", Unit: "Cel", MaxAge: time.Minute}, // of what comes later in the alphabet
			"sum":    {Value: "temperature + humidity", Unit: "Cel", MaxAge: time.Minute},
			"warm":   {Value: "temperature > 20", MaxAge: time.Minute},
			"third":  {Value: "temperature / 3", MaxAge: time.Minute},
		},
	})
	in := []gateway.Reading{measured("temperature", 19, 7), measured("humidity", 30, 5)}
	out := c.Apply(in, after(8))
	want := "temperature=20Cel humidity=30Cel sum=50Cel a_half=25Cel third=6.66666666666667 warm=false"
	if told(out) != want {
		t.Errorf("got  %s\nwant %s", told(out), want)
	}
	for _, r := range out[2:] {
		if !r.Time.Equal(after(7)) || r.Device != "air" {
			t.Errorf("%s of %s is dated %v", r.Name, r.Device, r.Time.Sub(dawn))
		}
	}
	in[1].Quality = gateway.Uncertain
	in[0].Value = gateway.Number(29)
	want = "temperature=30Cel humidity=30Cel!uncertain sum=60Cel!bad a_half=30Cel!bad third=10 warm=true"
	if out := c.Apply(in, after(9)); told(out) != want {
		t.Errorf("got  %s\nwant %s", told(out), want)
	}
	if s := c.Stats(); s.Derived != 8 || s.Bad != 1 || s.Taken+s.Derived != s.Sent {
		t.Errorf("stats %+v", s)
	}
}

// TestDerivationOfWhatComesApart: in any order, as long as it is not too old.
func TestDerivationOfWhatComesApart(t *testing.T) {
	c := mustChain(t, Processing{Derive: map[string]Derivation{"sum": {Value: "a + b", MaxAge: 10 * time.Second}}})
	other := measured("a", 100, 3)
	other.Device = "other"
	for _, step := range []struct {
		at   float64
		in   []gateway.Reading
		want string
	}{
		{0, []gateway.Reading{measured("a", 1, 0)}, "a=1Cel"},
		{1, []gateway.Reading{measured("c", 9, 1)}, "c=9Cel"},
		{2, []gateway.Reading{measured("b", 2, 2)}, "b=2Cel sum=3"},
		{3, []gateway.Reading{other}, "a=100Cel"}, // a device of its own
		{4, []gateway.Reading{measured("c", 9, 4)}, "c=9Cel"},
		{12, []gateway.Reading{measured("b", 3, 12)}, "b=3Cel"}, // a is 12 s old
		{13, []gateway.Reading{measured("a", 4, 13)}, "a=4Cel sum=7"},
		// Several of one name: each that belongs together.
		{14, []gateway.Reading{measured("a", 1, 14), measured("b", 1, 14), measured("a", 2, 15), measured("b", 2, 15)}, "a=1Cel b=1Cel sum=2 a=2Cel b=2Cel sum=4"},
	} {
		if out := c.Apply(step.in, after(step.at)); told(out) != step.want {
			t.Errorf("at %v s: %q, want %q", step.at, told(out), step.want)
		}
	}
}

// TestDerivationThatFails says so, and holds nothing else up.
func TestDerivationThatFails(t *testing.T) {
	c := mustChain(t, Processing{Derive: map[string]Derivation{
		"inverse": {Value: "1 / a", MaxAge: time.Minute},
		"more":    {Value: "mode + 1", MaxAge: time.Minute},
		"own":     {Value: "a", MaxAge: time.Minute},
	}})
	mode := measured("mode", 0, 0)
	mode.Value = gateway.Text("eco")
	out := c.Apply([]gateway.Reading{measured("a", 0, 0), mode, measured("own", 5, 0)}, after(0))
	if told(out) != "a=0Cel mode=ecoCel own=5Cel own=0" {
		t.Errorf("got %s", told(out))
	}
	said := c.problems.summary()
	for _, want := range []string{"derive.inverse.value: the result is +Inf, which is no finite number", "derive.more.value: invalid operation: string + float64", "derive.own: the device has a quantity of this name itself"} {
		if !strings.Contains(said, want) {
			t.Errorf("said: %s; want %s", said, want)
		}
	}
	if s := c.Stats(); s.Derived != 1 || s.Dropped != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestFaultyExpressionsHaveAPlace(t *testing.T) {
	_, err := NewChain(Processing{
		Calibrate: map[string]Calibration{"sum": {Scale: 2}},
		Derive: map[string]Derivation{
			"a": {Value: "b + 1"}, "b": {Value: "a + 1"}, "self": {Value: "self"},
			"constant": {Value: "1 + 1"}, "broken": {Value: "1 +"}, "sum": {Value: "x + y"},
		},
		Alerts: []AlertRule{
			{ID: "one", When: "x > 1", Until: "x <"},
			{ID: "one", When: "1 > 0", Text: strings.Repeat("x", 1001)},
			{ID: "two", When: "x + 1 > 1 ? 1 : 2"},
		},
	})
	var got []string
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() { //nolint:errorlint // each of the joined is looked at
		var fault *gateway.FieldError
		if !errors.As(e, &fault) {
			t.Fatalf("%v has no place", e)
		}
		got = append(got, fault.Field)
	}
	want := "calibrate.sum derive.broken.value derive.constant.value derive.a.value alerts[0].until alerts[1].id alerts[1].text alerts[1].when alerts[2].when"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s\n%v", strings.Join(got, " "), want, err)
	}
}

// TestScopesAreBounded: of a device that stands for many, the first ones count.
func TestScopesAreBounded(t *testing.T) {
	c := mustChain(t, Processing{Derive: map[string]Derivation{"double": {Value: "2 * a", MaxAge: time.Minute}}})
	r := measured("a", 1, 0)
	for i := range maxScopes + 5 {
		r.Device = gateway.DeviceID(strings.Repeat("x", i+1))
		c.Apply([]gateway.Reading{r}, after(0))
	}
	if n := c.Stats().Derived; n != maxScopes || len(c.calculate.scopes) != maxScopes {
		t.Errorf("%d derived for %d devices", n, len(c.calculate.scopes))
	}
	if !strings.Contains(c.problems.summary(), "more than 256 devices") {
		t.Errorf("said: %s", c.problems.summary())
	}
}

// TestCommittedReadingsDeriveToo, but not from what is no number.
func TestCommittedReadingsDeriveToo(t *testing.T) {
	c := mustChain(t, Processing{Derive: map[string]Derivation{"double": {Value: "2 * a", MaxAge: time.Minute}}})
	var counts ProcessingStats
	out := c.measure([]gateway.Reading{measured("a", 2, 0), measured("b", math.NaN(), 0)}, true, after(0), &counts)
	if told(out) != "a=2Cel b=NaNCel double=4" || counts.Taken != 2 || counts.Derived != 1 {
		t.Errorf("got %s, %+v", told(out), counts)
	}
	out = c.measure([]gateway.Reading{measured("a", math.Inf(1), 1)}, true, after(1), &counts)
	if told(out) != "a=+InfCel" {
		t.Errorf("got %s", told(out))
	}
	if a := c.calculate.scopes["air"].inputs["a"]; a.Value != gateway.Number(2) {
		t.Errorf("what follows is derived of %v", a.Value)
	}
}

// TestOnlyWhatIsFreshIsDerived: the others have been told already.
func TestOnlyWhatIsFreshIsDerived(t *testing.T) {
	c := mustChain(t, Processing{Derive: map[string]Derivation{"x": {Value: "a", MaxAge: time.Minute}, "y": {Value: "b", MaxAge: time.Minute}}})
	c.Apply([]gateway.Reading{measured("a", 1, 0), measured("b", 2, 0)}, after(0))
	if out := c.Apply([]gateway.Reading{measured("b", 3, 1)}, after(1)); told(out) != "b=3Cel y=3" {
		t.Errorf("got %s", told(out))
	}
}
