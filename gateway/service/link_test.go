package service

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// link asks a gateway how its line stands.
func (r *running) link(t *testing.T) (s Status, err error) {
	t.Helper()
	code, body := r.call(t, http.MethodGet, "/v1/status", "")
	if code != http.StatusOK {
		return s, fmt.Errorf("status: %d %s", code, body)
	}
	return s, json.Unmarshal([]byte(body), &s)
}

// TestADataPlanThins: a gateway with a small plan says that it thins, does so,
// and remembers over a restart what it has used.
func TestADataPlanThins(t *testing.T) {
	b, dir := startBroker(t), t.TempDir()
	url := b.url + ", max_rate: 1MB/s, data_plan: {monthly: 1MB, thin_at: 1%, thin_window: 24h}"
	r := startService(t, dir, url)
	r.awaitConnected(t)
	var used uint64
	eventually(t, func() error {
		s, err := r.link(t)
		if err != nil {
			return err
		}
		u := s.Upstream
		if u.Plan == nil || u.Plan.State != uplink.PlanThinning || u.MaxRate != 1_000_000 || u.Bytes.Telemetry.Out == 0 {
			return fmt.Errorf("not thinning: %+v, plan %+v", u, u.Plan)
		}
		used = u.Plan.Used
		for _, c := range s.Conditions {
			if c.Code == conditionPlan && strings.Contains(c.Summary, "1 % of the data plan is used") {
				return nil
			}
		}
		return fmt.Errorf("no condition: %+v", s.Conditions)
	})
	if err := r.stop(t); err != nil {
		t.Error(err)
	}
	r = startService(t, dir, url)
	r.awaitConnected(t)
	eventually(t, func() error {
		s, err := r.link(t)
		if err != nil {
			return err
		}
		if s.Upstream.Plan.Used < used {
			t.Fatalf("%d bytes used after a restart, %d before it", s.Upstream.Plan.Used, used)
		}
		all := strings.Join(b.on("fieldpost/gw/telemetry"), "\n")
		for _, name := range []string{`"temperature.mean"`, `"temperature.min"`, `"temperature.max"`, `"temperature.count"`} {
			if !strings.Contains(all, name) {
				return fmt.Errorf("no %s came", name)
			}
		}
		return nil
	})
	if err := r.stop(t); err != nil {
		t.Error(err)
	}
}
