package service

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestConfigsInTheReadme: what it shows of rules, scenes and terms is right as it stands,
// with the devices that it names.
func TestConfigsInTheReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(begin string) string {
		t.Helper()
		indented := regexp.MustCompile(`(?m)^    ` + regexp.QuoteMeta(begin) + `.*\n(?:    .*\n)+`).FindString(string(text))
		if indented == "" {
			t.Fatalf("there is no config that begins with %q", begin)
		}
		return regexp.MustCompile(`(?m)^    `).ReplaceAllString(indented, "")
	}
	path := filepath.Join(t.TempDir(), "readme.yaml")
	all := strings.Join([]string{
		"gateway: {id: x, position: {latitude: 50, longitude: 8}}", "upstreams: [{type: mqtt, url: mqtt://localhost}]",
		block("devices:\n      - id: pump") + `  - {id: air, driver: sim}
  - {id: fan, driver: relay, line: GPIO17}
  - {id: lamp, driver: relay, line: GPIO18}
  - {id: lamp-1, driver: relay, line: GPIO22}
  - {id: lamp-2, driver: relay, line: GPIO23}
  - {id: valve, driver: relay, line: GPIO24}
  - {id: tank, driver: ingest, socket: /run/tank.sock}
  - {id: soil, driver: ingest, socket: /run/soil.sock}`,
		block("groups: "), block("rules:"),
	}, "\n")
	if err := os.WriteFile(path, []byte(all), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Load(path)
	if err != nil {
		t.Fatalf("%v\n%s", err, all)
	}
	if advice := l.Advice(); len(advice) > 0 || len(l.Rules) < 3 || len(l.Scenes) == 0 || len(l.Groups) == 0 {
		t.Errorf("advice %v, %d rules, %d scenes, %d groups", advice, len(l.Rules), len(l.Scenes), len(l.Groups))
	}
}
