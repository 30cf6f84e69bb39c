package policy

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

// declared is an actuator with two actions.
type declared struct{ gateway.Actuator }

func (declared) Actions() []gateway.Action {
	return []gateway.Action{{Name: "set"}, {Name: "pulse"}}
}

func TestActionsSayWhoMayAskForThem(t *testing.T) {
	for _, tt := range []struct {
		terms      Terms
		set, pulse []string
	}{
		{Terms{}, nil, nil},
		{Terms{Allow: []string{"hub", "rule"}}, []string{"hub", "rule"}, []string{"hub", "rule"}},
		{Terms{AllowActions: map[string][]string{"pulse": {"local"}}}, nil, []string{"local"}},
		{Terms{Allow: []string{"hub", "rule"}, AllowActions: map[string][]string{"pulse": {"rule", "local"}}}, []string{"hub", "rule"}, []string{"rule"}},
		{Terms{Allow: []string{"hub"}, AllowActions: map[string][]string{"pulse": {"local"}}}, []string{"hub"}, []string{}},
		{Terms{Allow: []string{}}, []string{}, []string{}},
	} {
		actions := Narrow(declared{}, tt.terms).Actions()
		if !reflect.DeepEqual(actions[0].Allowed, tt.set) || !reflect.DeepEqual(actions[1].Allowed, tt.pulse) {
			t.Errorf("%+v: %v", tt.terms, actions)
		}
		data, err := json.Marshal(actions[1])
		var back gateway.Action
		if err != nil || json.Unmarshal(data, &back) != nil || !reflect.DeepEqual(back.Allowed, tt.pulse) {
			t.Errorf("%s, %v", data, err)
		}
	}
}
