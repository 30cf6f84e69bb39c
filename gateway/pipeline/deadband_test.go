package pipeline

import (
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

func newGate(t *testing.T, deadband string) *gate {
	t.Helper()
	b, ok := parseBand(deadband)
	if !ok {
		t.Fatalf("%s is no deadband", deadband)
	}
	return &gate{bands: map[string]band{"q": b}, heartbeat: time.Hour, sent: make(map[readingKey]*sent)}
}

func TestDeadband(t *testing.T) {
	for _, c := range []struct {
		deadband string
		values   []gateway.Value
		passes   string // + for each that passes, - for one that is held back
	}{
		{"0.5", []gateway.Value{gateway.Number(20), gateway.Number(20.5), gateway.Number(19.5), gateway.Number(20.6), gateway.Number(20.2)}, "+--+-"},
		{"2%", []gateway.Value{gateway.Number(100), gateway.Number(102), gateway.Number(98), gateway.Number(102.1), gateway.Number(104)}, "+--+-"},
		{"50%", []gateway.Value{gateway.Number(-10), gateway.Number(-15), gateway.Number(-16)}, "+-+"},
		{"1%", []gateway.Value{gateway.Number(0), gateway.Number(0), gateway.Number(1e-9)}, "+-+"},
		{"0", []gateway.Value{gateway.Number(1), gateway.Number(1), gateway.Number(1.0000001)}, "+-+"},
		{"change", []gateway.Value{gateway.Bool(true), gateway.Bool(true), gateway.Bool(false), gateway.Bool(false)}, "+-+-"},
		{"change", []gateway.Value{gateway.Text("eco"), gateway.Text("eco"), gateway.Text("off")}, "+-+"},
		{"5", []gateway.Value{gateway.Bool(true), gateway.Bool(false), gateway.Number(1), gateway.Text("1")}, "++++"},
	} {
		g := newGate(t, c.deadband)
		got := ""
		for i, v := range c.values {
			r := measured("q", 0, float64(i))
			r.Value = v
			got += map[bool]string{true: "+", false: "-"}[g.pass(&r, after(float64(i)))]
		}
		if got != c.passes {
			t.Errorf("%s of %v: %s, want %s", c.deadband, c.values, got, c.passes)
		}
	}
}

// TestNewsBesideTheValue always passes: quality, unit, and the heartbeat, which
// counts from what was sent last.
func TestNewsBesideTheValue(t *testing.T) {
	g := newGate(t, "10")
	r := measured("q", 1, 0)
	step := func(what string, seconds float64, want bool) {
		t.Helper()
		if got := g.pass(&r, after(seconds)); got != want {
			t.Errorf("%s: passes %v, want %v", what, got, want)
		}
	}
	step("the first", 0, true)
	step("the same", 1800, false)
	step("short of the heartbeat", 3599, false)
	step("the heartbeat", 3600, true)
	step("after it", 3601, false)
	r.Quality = gateway.Bad
	step("another quality", 3602, true)
	step("the same quality", 3603, false)
	r.Quality = gateway.Good
	step("good again", 3604, true)
	r.Unit = "K"
	step("another unit", 3605, true)
	r.Device = "other"
	step("another device", 3606, true)
	r.Name = "unnamed"
	step("no deadband", 3607, true)
	step("no deadband, again", 3608, true)
}

func TestWhatIsNoDeadband(t *testing.T) {
	for _, s := range []string{"", "-1", "%", "NaN", "Inf", "1e999", "changes", "0,5"} {
		if b, ok := parseBand(s); ok {
			t.Errorf("%q is taken for %v", s, b)
		}
	}
}
