package main

import (
	"bytes"
	"testing"
	"time"

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

func TestFirmwareForPeople(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	printFirmware(&out, now, []service.DeviceStatus{
		{ID: "mixer", Firmware: &gateway.FirmwareUpdate{From: "1.2.0", To: "1.3.0", Phase: "sending", Percent: 43, Since: now.Add(-70 * time.Second)}},
		{ID: "air"},
		{ID: "pump", Firmware: &gateway.FirmwareUpdate{To: "2.0.0", Phase: "waiting", Since: now.Add(-4 * time.Second)}},
	})
	const want = "firmware  mixer: 1.2.0 → 1.3.0, sending, 43 % stored (since 1 min 10 s ago)\n" +
		"firmware  pump: unknown → 2.0.0, waiting, 0 % stored (since 4 s ago)\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
