package service

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestSilentRule: when nothing is heard of what a rule goes by, its device takes its safe
// state, and all say why; it follows again when there is something.
func TestSilentRule(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	dir := t.TempDir()
	r := startServiceWith(t, dir, strings.Replace(configText, "BROKER", b.url, 1)+`rules:
  - {id: full, when: programs.level > 8, max_age: 1s, do: {device: bench, action: relay, args: {on: true}}}
`)
	r.awaitConnected(t)
	program, err := net.Dial("unix", filepath.Join(dir, "ingest.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	last := func(want string) {
		t.Helper()
		eventually(t, func() error {
			if acts := r.actuations(t, "actuations"); len(acts) == 0 || !strings.Contains(acts[len(acts)-1], want) {
				return fmt.Errorf("want %s last in %q", want, acts)
			}
			return nil
		})
	}
	for range 2 {
		fmt.Fprintln(program, `{"name":"level","value":9}`)
		last("relay on=true")
		last("safe off")
	}
	eventually(t, func() error {
		var s RulesStatus
		_, body := r.call(t, http.MethodGet, "/v1/rules", "")
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			return err
		}
		if len(s.Rules) != 1 || s.Rules[0].State != "on" || s.Rules[0].Unknown != "programs.level is older than 1s" || s.Zone == "" {
			return fmt.Errorf("rules %s", body)
		}
		_, body = r.call(t, http.MethodGet, "/v1/status", "")
		for _, want := range []string{`"rule:full"`, "programs.level is older than 1s; device bench is taken to its safe state", `"made-safe:bench"`} {
			if !strings.Contains(body, want) {
				return fmt.Errorf("status lacks %s: %s", want, body)
			}
		}
		return nil
	})
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}
