package main

import (
	"bytes"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/service"
)

func TestSettingsForPeople(t *testing.T) {
	for want, s := range map[string]service.SettingsStatus{
		"": {Verdict: service.Verdict{Version: 3, Status: service.SettingsApplied}},
		"settings  version 4 of the hub is applied, on probation, not as in the config file: air soil\n": {
			Verdict: service.Verdict{Version: 4, Status: service.SettingsApplied, Probation: true},
			Devices: []gateway.DeviceID{"air", "soil"},
		},
		"settings  version 7 of the hub is overridden by the command c1, on probation, not as in the config file: air\n": {
			Verdict: service.Verdict{Version: 7, Status: service.SettingsOverridden, By: "c1", Probation: true}, Devices: []gateway.DeviceID{"air"},
		},
		"settings  version 6 of the hub is applied, with CAs in place of ca_file\n": {
			Verdict: service.Verdict{Version: 6, Status: service.SettingsApplied}, CA: true,
		},
		"settings  version 5 of the hub is rejected\n          settings.x: unknown\n": {
			Verdict: service.Verdict{Version: 5, Status: service.SettingsRejected, Errors: []string{"settings.x: unknown"}},
		},
	} {
		var out bytes.Buffer
		printSettings(&out, s)
		if out.String() != want {
			t.Errorf("got\n%swant\n%s", out.String(), want)
		}
	}
}
