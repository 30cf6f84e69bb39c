package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/service"
)

func TestRulesForPeople(t *testing.T) {
	now := time.Now()
	failed := service.RuleReport{Device: "lamp", Action: "set", Status: gateway.StatusDenied, Detail: "too soon", Again: now.Add(time.Minute)}
	s := service.RulesStatus{Zone: "Europe/Berlin", Rules: []service.RuleStatus{
		{ID: "fan", Rule: "when air.temperature > 35 for 2m", State: "on", Since: now.Add(-time.Hour), Fired: 3, LastFired: now.Add(-time.Hour), Unknown: "air.temperature is bad"},
		{ID: "lamp", Rule: "at 06:30", State: "scheduled", Next: now.Add(time.Hour), Missed: 2, LastMissed: "06:30, it was off", Last: &failed, Problem: "lamp set was not carried out, denied: too soon"},
	}}
	var out bytes.Buffer
	printRules(&out, now, s)
	for _, want := range []string{
		"on, unknown", "when air.temperature > 35 for 2m", "1 h", now.Add(time.Hour).Local().Format(timeLayout),
		"fan: unknown, since air.temperature is bad\n", "lamp: missed 2 times, last: 06:30, it was off\n", "lamp: lamp set was not carried out, denied: too soon\n",
		"lamp: tried again at " + now.Add(time.Minute).Local().Format(timeLayout) + "\n",
		"times of day are those of Europe/Berlin\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), "too soon"); n != 1 {
		t.Errorf("a reason is told %d times:\n%s", n, out.String())
	}
	if got := rulesLine(s.Rules); got != "2; on: fan; unknown: fan; with a problem: lamp" {
		t.Errorf("line %q", got)
	}
	out.Reset()
	if printRules(&out, now, service.RulesStatus{}); out.String() != "there are no rules\n" {
		t.Errorf("without rules: %q", out.String())
	}
}
