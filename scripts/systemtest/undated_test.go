//go:build wide

package systemtest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// pretender runs gateways in what is to them another boot: it has an id of its own, and
// began when the test says.
type pretender struct {
	g *gateway
	// early is a fieldpost that was built in the future, and so trusts no clock.
	early string
}

func newPretender(t *testing.T, g *gateway) *pretender {
	t.Helper()
	early := filepath.Join(g.dir, "early")
	cmd := exec.Command("go", "build", "-ldflags", "-X main.built=2099-01-01T00:00:00Z", "-o", early, module+"cmd/fieldpost")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return &pretender{g, early}
}

// boot is one that began at a time.
type boot struct {
	id    string
	began time.Time
}

// run starts a program in a boot.
func (p *pretender) run(t *testing.T, b boot, path string) {
	t.Helper()
	id := filepath.Join(p.g.dir, b.id)
	if err := os.WriteFile(id, []byte(b.id+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Fatal(err)
	}
	uptime, _, _ := strings.Cut(string(text), " ")
	host, err := strconv.ParseFloat(uptime, 64)
	if err != nil {
		t.Fatal(err)
	}
	ahead := int(time.Since(b.began).Seconds() - host) // by less than a second too much
	p.g.process = spawn(t, p.g.log, "unshare", "--mount", "--time", "--boottime", strconv.Itoa(ahead), "--kill-child", "--fork",
		"sh", "-c", `mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"`, id, path, "run", "--config", p.g.config)
}

// say hands in a reading whose value is the true time, and has a command carried out.
func (p *pretender) say(t *testing.T) {
	t.Helper()
	eventually(t, time.Minute, func() error {
		line := fmt.Sprintf(`{"name":"truth","value":%.3f}`, float64(time.Now().UnixMilli())/1000)
		answers, err := p.g.ingest([]string{line})
		if err == nil && (len(answers) != 1 || !strings.Contains(answers[0], `"id"`)) {
			err = fmt.Errorf("answers %q", answers)
		}
		return err
	})
	out, err := exec.Command(program(t, "fieldpost"), "do", "bench", "relay", "on=true", "--socket", p.g.socket()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestTimeComesLate: a board does not know what time it is when it comes up. What it
// says then is queued, outlives restarts and reboots, and arrives with the right times if
// the time became known in the same boot, and with bounds otherwise.
func TestTimeComesLate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := startHub(t, dir)
	p := newPretender(t, prepareGateway(t, dir, h))
	h.process.kill()

	first := boot{"11111111-aaaa-4444-8888-000000000001", time.Now().Add(-time.Hour)}
	for range 2 {
		p.run(t, first, p.early)
		p.say(t)
		p.g.awaitCondition(t, "clock-untrusted")
		p.g.process.kill()
	}
	p.run(t, first, program(t, "fieldpost")) // now the time is known, and nobody to tell it to
	p.say(t)
	p.g.process.kill()

	second := boot{"11111111-aaaa-4444-8888-000000000002", time.Now().Add(-3 * time.Second)}
	p.run(t, second, p.early) // this time the power fails before
	p.say(t)
	p.say(t)
	p.g.process.kill()

	third := boot{"11111111-aaaa-4444-8888-000000000003", time.Now()}
	p.run(t, third, p.early)
	p.say(t)
	p.g.process.kill()
	h.restart(t)
	p.run(t, third, program(t, "fieldpost"))
	p.say(t)
	var events []event
	eventually(t, 3*time.Minute, func() error {
		events = h.events(t)
		said := 0
		for _, e := range events {
			said += strings.Count(string(e.Body), `"truth"`)
		}
		if said < 7 {
			return fmt.Errorf("%d of 7 readings have arrived", said)
		}
		return nil
	})
	judgeTimes(t, events, second, third)
	judgeAudit(t, h)
}

// judgeTimes finds each time of the readings and results true.
func judgeTimes(t *testing.T, events []event, lost, next boot) {
	t.Helper()
	const slack = 30 * time.Second // a busy machine
	var exact, estimated, results int
	for _, e := range events {
		var body struct {
			Boot     string
			TimeTo   time.Time `json:"time_to"`
			Readings []struct {
				Name      string
				Value     any
				Time      time.Time
				Estimated bool `json:"time_estimated"`
			}
			Finished time.Time
		}
		if err := json.Unmarshal(e.Body, &body); err != nil {
			t.Fatalf("%v: %s", err, e.Body)
		}
		if strings.Contains(string(e.Body), "1900-") || strings.HasPrefix(e.Properties["iothub-creation-time-utc"], "1900") {
			t.Errorf("undated: %v %s", e.Properties, e.Body)
		}
		if body.Boot != "" && (body.Boot != lost.id || body.TimeTo.Sub(next.began).Abs() > 2*time.Second) {
			t.Errorf("estimated, though the time became known: %s", e.Body)
		}
		if e.Properties["kind"] == "result" && body.Boot == "" {
			results++
			if time.Since(body.Finished) > 10*time.Minute {
				t.Errorf("finished at %v: %s", body.Finished, e.Body)
			}
		}
		for _, r := range body.Readings {
			value, ok := r.Value.(float64)
			if r.Name != "truth" || !ok {
				continue
			}
			truth := time.UnixMilli(int64(value * 1000))
			late := r.Time.Sub(truth)
			switch {
			case !r.Estimated && (late < -2*time.Second || late > slack):
				t.Errorf("%v, and in truth %v: %s", r.Time, truth, e.Body)
			case r.Estimated && (late > slack || body.TimeTo.Before(truth.Add(-2*time.Second))):
				t.Errorf("%v to %v, and in truth %v", r.Time, body.TimeTo, truth)
			case r.Estimated:
				estimated++
			default:
				exact++
			}
		}
	}
	if exact != 5 || estimated != 2 || results == 0 {
		t.Errorf("%d exact times, %d estimated ones, %d results; want 5, 2 and some", exact, estimated, results)
	}
}
