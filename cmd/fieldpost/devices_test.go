package main

import (
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/service"
)

func TestWhatBecameOfReadingsIsTold(t *testing.T) {
	for _, c := range []struct {
		stats service.ProcessingStats
		want  string
	}{
		{service.ProcessingStats{Taken: 3, Sent: 3}, "readings  3 measured, 3 sent"},
		{
			service.ProcessingStats{Taken: 90, Derived: 5, Summaries: 2, Sent: 4, Bad: 3, Dropped: 1, Windowed: 60, Suppressed: 26, Held: 1},
			"readings  90 measured, 4 sent, 5 derived, 60 summed up, 26 held back, 1 waiting for their rate limit, 1 dropped, 3 outside of their valid range",
		},
	} {
		var out strings.Builder
		printProcessing(&out, c.stats)
		if got := strings.TrimSpace(out.String()); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestAlertsThatStandAreShown(t *testing.T) {
	d := service.DeviceStatus{ID: "gate", Alerts: []gateway.Alert{
		{Device: "gate", ID: "hot", Text: "It is too hot."}, {Device: "node7", ID: "low"},
	}}
	var out strings.Builder
	if err := (&devicesCmd{}).show(&out, d); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"alert     hot: It is too hot.\n", "alert     node7.low: has begun\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got %s\nwant %s", out.String(), want)
		}
	}
}

func TestActionsAreShownAsTheyAreTyped(t *testing.T) {
	most := 5000.0
	d := service.DeviceStatus{ID: "lamp", Actions: []gateway.Action{
		{Name: "set", Help: "Switches it.", Idempotent: true, Timeout: 10 * time.Second, Args: []gateway.Arg{{Name: "on", Type: gateway.ArgBool, Required: true}}},
		{Name: "flash", Help: "Switches it on for a moment.", Timeout: time.Minute, Args: []gateway.Arg{{Name: "ms", Type: gateway.ArgInteger, Unit: "ms", Max: &most, Help: "how long"}}, Allowed: []string{"local", "rule"}},
		{Name: "never", Allowed: []string{}},
	}}
	var out strings.Builder
	if err := (&devicesCmd{}).show(&out, d); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"  fieldpost do lamp set on=true|false\n      Switches it.\n      on: bool\n      takes at most 10s; if the power fails meanwhile it is repeated\n",
		"  fieldpost do lamp flash [ms=..5000]\n", "      ms: integer in ms ≤ 5000, how long\n      for local, rule only\n", "      for nobody: allow and allow_actions have nobody in common\n", "takes at most 1m0s; if the power fails meanwhile it is never repeated: unknown-outcome\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got %s\nwant %s", out.String(), want)
		}
	}
}

func TestSettingsOfTheHubAreNamed(t *testing.T) {
	var out strings.Builder
	if err := (&devicesCmd{}).show(&out, service.DeviceStatus{ID: "air", Settings: []string{"alerts", "every"}}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\nsettings  of the hub: alerts, every\n") {
		t.Errorf("got %s", out.String())
	}
}
