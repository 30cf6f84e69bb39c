//go:build wide

package systemtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// rememberedFull is in the memory of rules when full has begun and its alert was told.
var rememberedFull = regexp.MustCompile(`"full":\{"on":true,"since":"[^"]*","told":true`)

// TestRulesWithoutAHub: while the hub is away, rules switch the board by what is
// measured, go on after a kill, and tell no alert twice; all of it arrives once the hub
// is back.
func TestRulesWithoutAHub(t *testing.T) {
	dir := t.TempDir()
	h := startHub(t, dir)
	g := newGateway(t, dir, h, "devices:\n", `rules:
  - {id: warm, when: bench.temperature > -100, do: {device: shed, action: relay, args: {on: true}}}
  - id: full
    when: programs.level > 8
    until: programs.level < 5
    do: {device: bench, action: relay, args: {on: true}}
    otherwise: {device: bench, action: relay, args: {on: false}}
    alert: The tank is full.
devices:
  - {id: shed, driver: sim}
`)
	connected := func() error {
		s, err := g.status()
		if err == nil && !s.Upstream.Connected {
			err = errors.New("not connected")
		}
		return err
	}
	eventually(t, time.Minute, connected)
	h.process.kill()

	level := func(x, relay string) {
		t.Helper()
		g.tool(t, 0, "send", "level="+x)
		eventually(t, time.Minute, func() error {
			acts, err := os.ReadFile(filepath.Join(dir, "actuations"))
			if lines := strings.Split(strings.TrimSpace(string(acts)), "\n"); err == nil && !strings.HasSuffix(lines[len(lines)-1], relay) {
				err = fmt.Errorf("level %s: last done %s", x, lines[len(lines)-1])
			}
			return err
		})
	}
	level("3", "relay on=false")
	level("9", "relay on=true")
	eventually(t, time.Minute, func() error { // a rule that has begun is remembered a moment later
		data, err := os.ReadFile(filepath.Join(dir, "data", "rules.memory"))
		if err == nil && !rememberedFull.Match(data) {
			err = fmt.Errorf("remembered: %q", data)
		}
		return err
	})
	g.process.kill()
	g.start(t) // which makes the board safe
	eventually(t, time.Minute, func() error { _, err := g.status(); return err })
	level("7", "relay on=true") // between the limits
	wantAll(t, "rules", g.tool(t, 0, "rules"), "full", "on", "when programs.level > 8 until programs.level < 5", "times of day are those of")
	level("4", "relay on=false")

	h.restart(t)
	results := make(map[string]string)
	var alerts []bool
	eventually(t, time.Minute, func() error {
		clear(results)
		alerts = nil
		for _, e := range h.events(t) {
			switch e.Properties["kind"] {
			case "result":
				var r struct{ Command, Status string }
				if err := json.Unmarshal(e.Body, &r); err != nil {
					return err
				}
				results[r.Command] = r.Status
			case "alert":
				var body struct {
					Alert struct {
						Device, ID string
						Active     bool
					}
				}
				if err := json.Unmarshal(e.Body, &body); err != nil {
					return err
				}
				if a := body.Alert; a.Device == "gateway" && a.ID == "full" {
					alerts = append(alerts, a.Active)
				}
			}
		}
		full := 0
		for id, status := range results {
			switch {
			case status != "done":
				return fmt.Errorf("%s: %s", id, status)
			case strings.HasPrefix(id, "rule-full-"):
				full++
			}
		}
		if full != 4 || len(alerts) < 2 {
			return fmt.Errorf("results %v, alerts %v", results, alerts)
		}
		return nil
	})
	if fmt.Sprint(alerts) != "[true false]" {
		t.Errorf("alerts %v", alerts)
	}
}
