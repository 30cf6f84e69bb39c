package pipeline

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// alerted is the short form of alerts.
func alerted(alerts []gateway.Alert) string {
	var parts []string
	for _, a := range alerts {
		state := "-"
		if a.Active {
			state = "+"
		}
		parts = append(parts, fmt.Sprintf("%s%s %v", state, a.ID, a.Values))
	}
	return strings.Join(parts, " ")
}

// at is one moment of the life of an alert: a reading of q, or only time.
type at struct {
	second  float64
	q       any // float64, bool, text; nil: only time passes
	quality gateway.Quality
	want    string
}

func TestAlerts(t *testing.T) {
	for name, c := range map[string]struct {
		rule  AlertRule
		steps []at
	}{
		"edges": {AlertRule{When: "q > 35"}, []at{
			{0, 30.0, "", ""},
			{1, 36.0, "", "+a map[q:36]"},
			{2, 37.0, "", ""},
			{3, 35.0, "", "-a map[q:35]"},
			{4, 34.0, "", ""},
			{5, 36.0, "", "+a map[q:36]"},
		}},
		"no number": {AlertRule{When: "1 / q > 2", For: 10 * time.Second}, []at{
			{0, 0.1, "", ""},
			{1, 0.0, "", ""},
			{20, 0.0, "", ""},
			{21, 0.1, "", "+a map[q:0.1]"},
			{22, 0.0, "", ""},
			{23, 1.0, "", "-a map[q:1]"},
		}},
		"true from the start": {AlertRule{When: "q > 35"}, []at{{0, 36.0, "", "+a map[q:36]"}}},
		"until": {AlertRule{When: "q > 35", Until: "q < 33"}, []at{
			{0, 36.0, "", "+a map[q:36]"},
			{1, 34.0, "", ""},
			{2, 36.0, "", ""},
			{3, 32.0, "", "-a map[q:32]"},
			{4, 34.0, "", ""},
		}},
		"until is no end while when holds": {AlertRule{When: "q > 20", Until: "q > 10"}, []at{
			{0, 21.0, "", "+a map[q:21]"},
			{1, 22.0, "", ""},
			{2, 21.0, "", ""},
			{3, 15.0, "", "-a map[q:15]"},
			{4, 21.0, "", "+a map[q:21]"},
			{5, 5.0, "", ""},
			{6, 15.0, "", "-a map[q:15]"},
		}},
		"for": {AlertRule{When: "q > 35", For: 2 * time.Minute}, []at{
			{0, 36.0, "", ""},
			{60, 34.0, "", ""}, // begins anew
			{70, 36.0, "", ""},
			{130, 36.0, "", ""},
			{190, 36.0, "", "+a map[q:36]"},
			{191, 34.0, "", "-a map[q:34]"}, // the end is told at once
			{192, 36.0, "", ""},
		}},
		"for, and nothing comes any more": {AlertRule{When: "q", For: 2 * time.Minute}, []at{
			{0, true, "", ""},
			{119, nil, "", ""},
			{120, nil, "", "+a map[q:true]"},
			{500, nil, "", ""},
			{501, false, "", "-a map[q:false]"},
		}},
		"bad values decide nothing": {AlertRule{When: "q > 35"}, []at{
			{0, 99.0, gateway.Bad, ""},
			{1, 36.0, gateway.Uncertain, "+a map[q:36]"},
			{2, 1.0, gateway.Bad, ""},
			{3, 1.0, "", "-a map[q:1]"},
		}},
		"bad values suspend the time": {AlertRule{When: "q > 35", For: time.Minute}, []at{
			{0, 36.0, "", ""},
			{30, 99.0, gateway.Bad, ""},
			{70, nil, "", ""},
			{80, 36.0, "", "+a map[q:36]"},
		}},
		"what does not fit suspends the time": {AlertRule{When: "q > 35", For: time.Minute}, []at{
			{0, 36.0, "", ""},
			{30, "cold", "", ""},
			{70, nil, "", ""},
			{80, 36.0, "", "+a map[q:36]"},
		}},
		"texts": {AlertRule{When: `q == "fault"`}, []at{
			{0, "ok", "", ""},
			{1, "fault", "", "+a map[q:fault]"},
			{2, "ok", "", "-a map[q:ok]"},
		}},
		"what does not fit decides nothing": {AlertRule{When: "q > 35"}, []at{
			{0, 36.0, "", "+a map[q:36]"},
			{1, "cold", "", ""},
			{2, 36.0, "", ""},
		}},
	} {
		c.rule.ID = "a"
		chain := mustChain(t, Processing{Alerts: []AlertRule{c.rule}})
		for _, step := range c.steps {
			if step.q == nil {
				chain.Tick(after(step.second))
			} else {
				r := measured("q", 0, step.second)
				r.Value, _ = valueOf(step.q)
				if step.quality != "" {
					r.Quality = step.quality
				}
				chain.Apply([]gateway.Reading{r}, after(step.second))
			}
			if got := alerted(chain.Alerts()); got != step.want {
				t.Errorf("%s, at %v s: %q, want %q", name, step.second, got, step.want)
			}
		}
	}
}

// TestAlertDueIsKnown, so that somebody can wake the chain.
func TestAlertDueIsKnown(t *testing.T) {
	c := mustChain(t, Processing{Alerts: []AlertRule{
		{ID: "late", When: "q > 1", For: time.Hour}, {ID: "soon", When: "q > 1", For: time.Minute}, {ID: "other", When: "r > 1", For: time.Second},
	}})
	if !c.Due().IsZero() {
		t.Errorf("due %v from the start", c.Due())
	}
	c.Apply([]gateway.Reading{measured("q", 2, 0)}, after(0))
	if want := after(60); !c.Due().Equal(want) {
		t.Errorf("due %v", c.Due().Sub(dawn))
	}
	c.Tick(after(60))
	if got := alerted(c.Alerts()); got != "+soon map[q:2]" || !c.Due().Equal(after(3600)) {
		t.Errorf("told %s, due %v", got, c.Due().Sub(dawn))
	}
	if got := alerted(c.Active()); got != "+soon map[q:2]" {
		t.Errorf("active: %s", got)
	}
	c.Tick(after(3600))
	if !c.Due().IsZero() || len(c.Active()) != 2 {
		t.Errorf("due %v, %d active", c.Due(), len(c.Active()))
	}
}

// TestAlertsOfSeveral devices, quantities, and of what is derived.
func TestAlertsOfSeveral(t *testing.T) {
	c := mustChain(t, Processing{
		Derive: map[string]Derivation{"spread": {Value: "a - b", MaxAge: time.Minute}},
		Alerts: []AlertRule{{ID: "apart", When: "spread > 10 and not off", Text: "too far apart"}},
	})
	off := measured("off", 0, 0)
	off.Value = gateway.Bool(false)
	c.Apply([]gateway.Reading{measured("a", 20, 0), measured("b", 1, 0)}, after(0))
	if got := c.Alerts(); len(got) > 0 {
		t.Errorf("without off: %v", got)
	}
	other := measured("a", 50, 0)
	other.Device = "other"
	c.Apply([]gateway.Reading{other, off}, after(1))
	got := c.Alerts()
	if alerted(got) != "+apart map[off:false spread:19]" || got[0].Text != "too far apart" || got[0].Device != "air" {
		t.Errorf("told %s, %+v", alerted(got), got)
	}
	if c.Alerts() != nil {
		t.Error("told twice")
	}
	off.Value = gateway.Bool(true)
	c.Apply([]gateway.Reading{off}, after(2))
	if got := alerted(c.Alerts()); got != "-apart map[off:true spread:19]" {
		t.Errorf("told %s", got)
	}
}

// TestLongTextsInAlertsAreCut, at the end of a character.
func TestLongTextsInAlertsAreCut(t *testing.T) {
	c := mustChain(t, Processing{Alerts: []AlertRule{{ID: "a", When: `q != ""`}}})
	r := measured("q", 0, 0)
	r.Value = gateway.Text("x" + strings.Repeat("ä", 1000))
	c.Apply([]gateway.Reading{r}, after(0))
	if text, _ := c.Alerts()[0].Values["q"].Text(); text != "x"+strings.Repeat("ä", 499) {
		t.Errorf("%d bytes: %s", len(text), text)
	}
}

// TestWhatIsRememberedIsBounded: of a device that stands for many, the latest.
func TestWhatIsRememberedIsBounded(t *testing.T) {
	var s standing
	for i := range 300 {
		s.told(gateway.Alert{Device: gateway.DeviceID(fmt.Sprint("node", i)), ID: "hot", Active: true})
	}
	data := string(s.encoded())
	if len(data) > maxStanding || !strings.Contains(data, `"node299"`) || strings.Contains(data, `"node0"`) || len(data) < maxStanding-100 {
		t.Errorf("%d bytes: %s", len(data), data)
	}
}
