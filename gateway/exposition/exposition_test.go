package exposition_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/prometheus/common/expfmt"

	"github.com/fieldpost/fieldpost/gateway/exposition"
)

func TestPage(t *testing.T) {
	var p exposition.Page
	p.Counter("drops_total", `What fell, by \ and`+"\nby place.", exposition.Sample{Value: 12, Labels: []string{"place", "roof"}}, exposition.Sample{Value: 1 << 40})
	p.Gauge("nothing", "Left out.")
	p.Gauge("level_ratio", "How full.", exposition.Sample{Value: 0.25, Labels: []string{"tank", "", "side", "left", "kind", "a"}})
	const want = `# HELP drops_total What fell, by \\ and\nby place.
# TYPE drops_total counter
drops_total{place="roof"} 12
drops_total 1.099511627776e+12
# HELP level_ratio How full.
# TYPE level_ratio gauge
level_ratio{side="left",kind="a"} 0.25
`
	if got := string(p.Bytes()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// FuzzPage: what goes in comes out at the parser of Prometheus, whatever it is.
func FuzzPage(f *testing.F) {
	f.Add("a", "b", 1.0)
	f.Add(`\`, "\"\n\\n\x00\xff}", math.Inf(-1))
	f.Add("\r\n# TYPE x counter\n", "ü{", math.NaN())
	f.Fuzz(func(t *testing.T, help, label string, value float64) {
		var p exposition.Page
		p.Gauge("g", help, exposition.Sample{Value: value, Labels: []string{"a", label, "b", "c"}})
		families, err := new(expfmt.TextParser).TextToMetricFamilies(bytes.NewReader(p.Bytes()))
		if err != nil || len(families) != 1 || len(families["g"].GetMetric()) != 1 {
			t.Fatalf("%v: %v in\n%s", err, families, p.Bytes())
		}
		m := families["g"].GetMetric()[0]
		got := make(map[string]string)
		for _, l := range m.GetLabel() {
			got[l.GetName()] = l.GetValue()
		}
		if got["a"] != string(bytes.ToValidUTF8([]byte(label), []byte("\uFFFD"))) || got["b"] != "c" {
			t.Errorf("labels %q of %q", got, label)
		}
		if v := m.GetGauge().GetValue(); v != value && !(math.IsNaN(v) && math.IsNaN(value)) {
			t.Errorf("value %v of %v", v, value)
		}
	})
}
