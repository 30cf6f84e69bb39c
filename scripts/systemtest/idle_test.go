//go:build wide

package systemtest

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"
)

// azureChain is what the certificates of the real hub take beyond the one of the
// simulator, at most: an estimate, two RSA certificates of 2 kB.
const azureChain = 4000

// TestIdleTraffic measures what a gateway without readings and commands costs: a
// ping and its answer, and a login with all that follows, the twin included. A day of that, at the defaults, must be below
// 300 kB. The day is reckoned, not waited for: as many pings as fit, though any
// other traffic saves one, and a login for each life of a token, with the larger
// certificates of the real hub. TLS is in it; the headers of TCP and IP, which
// the gateway does not see, are not.
func TestIdleTraffic(t *testing.T) {
	t.Parallel() // it only waits
	const most = 300_000
	dir := t.TempDir()
	h := startHub(t, dir)
	g := prepareGateway(t, dir, h, "    ca_file:", "    keep_alive: 10s\n    ca_file:")
	keepAlive, tokenTTL := defaultOf(t, g, "keep_alive"), defaultOf(t, g, "token_ttl")
	silent := regexp.MustCompile(`(?m)^.*driver: (sim|sysfs).*\n`).ReplaceAllString(readText(t, g.config), "")
	if err := os.WriteFile(g.config, []byte(silent), 0o600); err != nil {
		t.Fatal(err)
	}
	g.start(t)
	before, after := g.aroundPing(t)
	login, ping := before.total(), after.total()-before.total()
	for _, purpose := range []string{"telemetry", "records", "commands"} {
		if n := after.of(purpose) - before.of(purpose); n != 0 {
			t.Errorf("%d bytes of %s during a ping: the gateway is not idle", n, purpose)
		}
	}
	if n := after.of("telemetry"); n != 0 {
		t.Errorf("%d bytes of telemetry: the gateway is not idle", n)
	}
	if in, out := after["keep_alive"]["in"], after["keep_alive"]["out"]; in != 2 || out != 2 || ping > 100 {
		t.Errorf("one ping and its answer are %d and %d bytes, %d with TLS", out, in, ping)
	}
	const day = 24 * time.Hour
	pings, logins := int64(day/keepAlive), int64(day/tokenTTL)
	total := pings*ping + logins*(login+azureChain)
	t.Logf("a day: %d pings of %d bytes and %d logins of %d (%d of it the estimate for the real hub's certificates): %d bytes",
		pings, ping, logins, login+azureChain, azureChain, total)
	if total >= most {
		t.Errorf("%d bytes a day, want less than %d", total, most)
	}
}

// usage is bytes on the socket by purpose and way.
type usage map[string]map[string]int64

func (u usage) of(purpose string) int64 { return u[purpose]["in"] + u[purpose]["out"] }

func (u usage) total() (n int64) {
	for purpose := range u {
		n += u.of(purpose)
	}
	return n
}

// aroundPing is what had passed shortly before the first ping, and with its
// answer.
func (g *gateway) aroundPing(t *testing.T) (before, after usage) {
	t.Helper()
	var last usage // one older than the newest: the ping may be half counted in that
	eventually(t, time.Minute, func() error {
		s, err := g.status()
		if err != nil {
			return err
		}
		after = s.Upstream.Bytes
		if after.of("keep_alive") == 0 {
			before, last = last, after
		}
		if after["keep_alive"]["in"] == 0 {
			return fmt.Errorf("bytes so far: %v", after)
		}
		return nil
	})
	return before, after
}

// defaultOf asks the program for the default of a duration of the IoT Hub.
func defaultOf(t *testing.T, g *gateway, key string) time.Duration {
	t.Helper()
	var schema struct {
		Defs map[string]struct {
			Properties map[string]struct{ Default any }
		} `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(g.tool(t, 0, "check", "--schema")), &schema); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprint(schema.Defs["upstreams.iothub"].Properties[key].Default)
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("default of %s: %s, %v", key, text, err)
	}
	return d
}
