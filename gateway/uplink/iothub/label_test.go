package iothub

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

func TestLabelsReachTheHub(t *testing.T) {
	h := startHub(t)
	h.config.LabelConfig = LabelConfig{
		UserID:         "grün & gut",
		Properties:     map[string]string{"site": "north/1", "severity": "none"},
		LaneProperties: map[string]map[string]string{"alerts": {"Severity": "high+"}},
	}
	s := h.connect()
	for i, tc := range []struct {
		lane gateway.Lane
		want map[string]string
	}{
		{"telemetry", map[string]string{"site": "north/1", "severity": "none"}},
		{"alerts", map[string]string{"site": "north/1", "Severity": "high+"}},
	} {
		r, err := s.Publish(t.Context(), gateway.Message{ID: gateway.MessageID{Store: "ab", Lane: tc.lane, Seq: 1}, Kind: "k", Body: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		await(t, r.Done())
		bag := h.events[i].bag
		if bag["$.uid"] != "grün & gut" || bag["lane"] != string(tc.lane) {
			t.Errorf("%s: %v", tc.lane, bag)
		}
		for name, want := range tc.want {
			if bag[name] != want {
				t.Errorf("%s: %s = %q, want %q", tc.lane, name, bag[name], want)
			}
		}
		if len(bag) != 6+len(tc.want) { // $.mid, $.uid, store, lane, seq, kind
			t.Errorf("%s: %d properties in %v", tc.lane, len(bag), bag)
		}
	}
}

// Whatever text stands in the config arrives as it is, counted to the byte.
func TestEveryTextSurvivesTheTopic(t *testing.T) {
	text := rapid.StringOf(rapid.Rune())
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching("[A-Za-z0-9][A-Za-z0-9!#$%&'*+.^_`|~-]{0,19}").Draw(t, "name")
		value, user, body := text.Draw(t, "value"), text.Draw(t, "user"), text.Draw(t, "body")
		l := newLabels(LabelConfig{UserID: user, Properties: map[string]string{name: value}})
		m := gateway.Message{ID: gateway.MessageID{Store: "s", Lane: "l", Seq: 1}, Body: []byte(body)}
		topic, err := l.eventTopic("d", m)
		if err != nil {
			t.Fatal(err)
		}
		bag, isEvent := strings.CutPrefix(topic, "devices/d/messages/events/")
		if !isEvent || strings.ContainsAny(bag, "+#/") {
			t.Fatalf("topic %q", topic)
		}
		back, err := parseBag(bag)
		if err != nil || back[name] != value || back["$.uid"] != user {
			t.Fatalf("%q came back as %q, %v", bag, back, err)
		}
		filler := MaxMessageBytes - len(body)
		for k, v := range back {
			filler -= len(v)
			if !strings.HasPrefix(k, "$.") {
				filler -= len(k)
			}
		}
		m.Body = append(m.Body, make([]byte, filler)...)
		if _, err := l.eventTopic("d", m); err != nil {
			t.Fatalf("at the limit: %v", err)
		}
		m.Body = append(m.Body, 0)
		if _, err := l.eventTopic("d", m); err == nil {
			t.Fatalf("a byte over the limit passes, want %v", uplink.ErrTooLarge)
		}
	})
}

func TestLabelFaults(t *testing.T) {
	long := strings.Repeat("x", maxLabelBytes/2)
	for field, c := range map[string]LabelConfig{
		"user_id":                {UserID: strings.Repeat("u", 129)},
		"properties.a b":         {Properties: map[string]string{"a b": "c"}},
		"properties.":            {Properties: map[string]string{"": "c"}},
		"properties.Iothub-x":    {Properties: map[string]string{"Iothub-x": "c"}},
		"properties.$.mid":       {Properties: map[string]string{"$.mid": "c"}},
		"properties.SEQ":         {Properties: map[string]string{"SEQ": "c"}},
		"properties.B":           {Properties: map[string]string{"B": "c", "b": "c"}},
		"properties.bell":        {Properties: map[string]string{"bell": "\a"}},
		"properties":             {Properties: map[string]string{"a": long, "b": long}},
		"lane_properties.l":      {Properties: map[string]string{"a": long}, LaneProperties: map[string]map[string]string{"l": {"b": long}}},
		"lane_properties.l.kind": {LaneProperties: map[string]map[string]string{"l": {"kind": "x"}}},
	} {
		var faults []string
		c.check(func(f, _ string) { faults = append(faults, f) })
		if len(faults) != 1 || faults[0] != field {
			t.Errorf("faults at %q, want one at %q", faults, field)
		}
	}
}
