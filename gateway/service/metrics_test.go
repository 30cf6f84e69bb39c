package service

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/command"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/storeforward"
)

// scraped reads a page as Prometheus does, and holds it to what Prometheus wants of names.
func scraped(t *testing.T, page []byte) map[string]*dto.MetricFamily {
	t.Helper()
	families, err := new(expfmt.TextParser).TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		t.Fatalf("%v in\n%s", err, page)
	}
	for name, f := range families {
		counter := f.GetType() == dto.MetricType_COUNTER
		if !strings.HasPrefix(name, "fieldpost_") || strings.HasSuffix(name, "_total") != counter || !strings.HasSuffix(f.GetHelp(), ".") {
			t.Errorf("%s %s, %q", f.GetType(), name, f.GetHelp())
		}
	}
	var series []string
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "#") {
			series = append(series, line[:strings.LastIndexByte(line, ' ')])
		}
	}
	slices.Sort(series)
	if once := slices.Compact(slices.Clone(series)); len(once) != len(series) {
		t.Errorf("some series are there twice:\n%s", strings.Join(series, "\n"))
	}
	return families
}

// number is the value of one series, by the values of its labels.
func number(t *testing.T, families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	for _, m := range families[name].GetMetric() {
		var got []string
		for _, l := range m.GetLabel() {
			got = append(got, l.GetValue())
		}
		if slices.Equal(got, labels) {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Errorf("there is no %s %q", name, labels)
	return 0
}

// TestMetricsOfAStatus: each family, with an earlier store, a child, a data plan and all
// that can be absent.
func TestMetricsOfAStatus(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	s := Status{
		Gateway: "gw", Version: "v1", Commit: "c0ffee", Started: now.Add(-90 * time.Second), Now: now, ClockTrusted: true,
		Memory:     MemoryStatus{RSSBytes: 30 << 20, Goroutines: 42},
		Conditions: []health.Condition{{Code: "device:air", Severity: health.Warning, Summary: "not in it"}},
		Upstream: UpstreamStatus{
			Connected: true, Published: 7, Acknowledged: 6, Resent: 2, Rejected: 1, Reconnects: 3, LastPuback: now.Add(-1500 * time.Millisecond), LastError: "not in it",
			Bytes: uplink.Usage{Telemetry: uplink.Traffic{In: 10, Out: 20}}, Plan: &uplink.Standing{State: uplink.PlanThinning, Used: 80, Monthly: 100},
		},
		Children: []ChildStatus{{Lane: "node7", UpstreamStatus: UpstreamStatus{Published: 1}}},
		Queue: storeforward.Stats{
			Store: "aaaaaaaaaaaa", MaxBytes: 512e6, DiskFree: 1e9, Commits: 11, Failures: 1, BytesAccepted: 300, DeviceBytes: 4096,
			Lanes: []storeforward.LaneStats{
				{Lane: "telemetry", Store: "aaaaaaaaaaaa", Waiting: 3, Bytes: 900, Accepted: 9, Acked: 4, OldestAge: 12.5, Lost: 2, LostBy: map[gateway.GapReason]uint64{gateway.GapExpired: 2}, Held: true},
				{Lane: "telemetry", Store: "bbbbbbbbbbbb", Waiting: 1, Bytes: 100},
			},
		},
		Devices: []DeviceStatus{
			{ID: "air", Driver: "bme280", State: "failing", LastRead: now.Add(-time.Minute), Reads: 20, Failures: 2, Processing: &ProcessingStats{Sent: 15, Bad: 4, Dropped: 1}, Alerts: make([]gateway.Alert, 1)},
			{ID: "pump", Driver: "relay", State: "good", Output: &OutputStatus{Safe: "no", OverrideUntil: now.Add(time.Hour)}},
			{ID: "lamp", Driver: "relay", State: "absent", Output: &OutputStatus{Safe: "unknown"}},
		},
		Commands: command.Stats{
			Waiting: 2, Repeated: 1, Refused: 3,
			FinalBy: map[gateway.Origin]map[gateway.Status]uint64{gateway.OriginRule: {gateway.StatusDone: 5}, gateway.OriginC2D: {gateway.StatusDenied: 1, gateway.StatusDone: 4}},
		},
		Rules: []RuleStatus{{ID: "warm", State: "on", Fired: 2}, {ID: "morning", State: "scheduled", Unknown: "why", Missed: 1}},
	}
	page := s.Metrics()
	scraped(t, page)
	if again := s.Metrics(); !bytes.Equal(page, again) {
		t.Errorf("the page is another one each time:\n%s\n%s", page, again)
	}
	const file = "testdata/metrics.txt"
	if *update {
		if err := os.WriteFile(file, page, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want := fileText(t, file); string(page) != want {
		t.Errorf("got\n%s\nwant\n%s", page, want)
	}
}

// TestMetricsOfLittle: a status with nothing in it is a page all the same.
func TestMetricsOfLittle(t *testing.T) {
	families := scraped(t, Status{}.Metrics())
	if families["fieldpost_device_state"] != nil || families["fieldpost_data_plan_state"] != nil || number(t, families, "fieldpost_clock_trusted") != 0 {
		t.Errorf("%v", families)
	}
}
