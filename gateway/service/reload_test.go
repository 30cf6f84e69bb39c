package service

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

// edit changes the config file, by pairs of old and new text.
func (r *running) edit(t *testing.T, edits ...string) {
	t.Helper()
	file := filepath.Join(r.dir, "fieldpost.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), edits[0]) {
		t.Fatalf("the config has no %q", edits[0])
	}
	changed := strings.NewReplacer(edits...).Replace(string(text))
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(changed, "DIR", r.dir)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *running) reload(t *testing.T) (done Reloaded) {
	t.Helper()
	code, body := r.call(t, http.MethodPost, "/v1/reload", "")
	if err := json.Unmarshal([]byte(body), &done); err != nil || code != http.StatusOK {
		t.Fatalf("reload: %d %s", code, body)
	}
	return done
}

// actuations are what the bench has done.
func (r *running) actuations(t *testing.T, file string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, file))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return slices.Collect(strings.Lines(string(text)))
}

// TestReloadLeavesTheRestAlone: a device comes, another goes, a third one is changed,
// and those that are the same stay as they are, like the connection to the broker.
func TestReloadLeavesTheRestAlone(t *testing.T) {
	b := startBroker(t)
	dir := t.TempDir()
	before := ownGoroutines()
	r := startService(t, dir, b.url)
	r.awaitConnected(t)
	r.do(t, "bench", "relay", `{"on":true}`)
	program, err := net.Dial("unix", filepath.Join(dir, "ingest.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	answers := bufio.NewScanner(program)
	ask := func() {
		t.Helper()
		if _, err := fmt.Fprintln(program, `{"name":"level","value":3}`); err != nil || !answers.Scan() || !strings.Contains(answers.Text(), `"id"`) {
			t.Fatalf("%v: %s", err, answers.Text())
		}
	}
	ask()
	done := len(r.actuations(t, "actuations"))

	r.edit(t, "  - {id: board, driver: sysfs, every: 500ms}\n", "  - {id: lamp, driver: sim, actuations: DIR/lamp}\n",
		"every: 100ms", "every: 200ms", "max_age: 50ms", "max_age: 40ms")
	if got := r.reload(t); !slices.Equal(got.Added, []gateway.DeviceID{"lamp"}) || !slices.Equal(got.Removed, []gateway.DeviceID{"board"}) ||
		!slices.Equal(got.Tuned, []gateway.DeviceID{"bench"}) || len(got.Reopened) > 0 || got.Upstream {
		t.Errorf("reloaded %+v", got)
	}
	ask() // the program is still connected
	if got := r.actuations(t, "actuations"); len(got) != done {
		t.Errorf("the device that has stayed was disturbed:\n%s", strings.Join(got, ""))
	}
	if got := r.actuations(t, "lamp"); len(got) != 1 || !strings.Contains(got[0], "safe") {
		t.Errorf("the new one has not taken its safe state: %q", got)
	}
	if got := r.do(t, "lamp", "relay", `{"on":true}`); got.Status != gateway.StatusDone {
		t.Errorf("the new one: %+v", got)
	}
	eventually(t, func() error {
		if all := b.on("fieldpost/gw/telemetry"); !strings.Contains(all[len(all)-1], `"device":"lamp"`) {
			return errors.New("no readings of the new device yet")
		}
		return nil
	})

	r.edit(t, "id: lamp, driver: sim,", "id: lamp, driver: sim, safe: on,")
	if got := r.reload(t); !slices.Equal(got.Reopened, []gateway.DeviceID{"lamp"}) || len(got.Added)+len(got.Removed)+len(got.Tuned) > 0 {
		t.Errorf("reloaded %+v", got)
	}
	if got := r.actuations(t, "lamp"); len(got) != 4 || !strings.Contains(got[2], "safe off") || !strings.Contains(got[3], "safe on") {
		t.Errorf("the changed one is to take its old safe state, and then its new one:\n%s", strings.Join(got, ""))
	}
	if got := r.reload(t); !strings.Contains(got.Text(), "no device and no connection") {
		t.Errorf("nothing was changed: %s", got.Text())
	}
	if got := b.on("fieldpost/gw/status"); len(got) != 1 {
		t.Errorf("the connection was made anew: %q", got)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
	leavesNone(t, before)
}

// TestReloadConnectsAnew if the upstream is another, and disturbs no device for it.
func TestReloadConnectsAnew(t *testing.T) {
	b, other := startBroker(t), startBroker(t)
	r := startService(t, t.TempDir(), b.url)
	r.awaitConnected(t)
	r.do(t, "bench", "relay", `{"on":true}`)
	done := len(r.actuations(t, "actuations"))
	r.edit(t, b.url, other.url)
	if got := r.reload(t); !got.Upstream || len(got.Reopened)+len(got.Tuned) > 0 {
		t.Errorf("reloaded %+v", got)
	}
	r.awaitConnected(t)
	eventually(t, func() error {
		if len(other.on("fieldpost/gw/telemetry")) == 0 {
			return errors.New("nothing arrives at the other broker")
		}
		return nil
	})
	if err := other.server.Publish("fieldpost/gw/commands", []byte(`{"id":"c1","device":"bench","action":"pulse","args":{"ms":1}}`), false, 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if all := strings.Join(other.on("fieldpost/gw/results"), ""); !strings.Contains(all, `"correlation":"c1"`) {
			return errors.New("no result of a command of the other broker")
		}
		return nil
	})
	if got := r.actuations(t, "actuations"); len(got) != done+1 {
		t.Errorf("the device was disturbed:\n%s", strings.Join(got, ""))
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// TestReloadKeepsPortsOpen: to close one can reset what hangs on it. Its far side hears
// of that, and hears nothing while other things change.
func TestReloadKeepsPortsOpen(t *testing.T) {
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	port := near.Name()
	b := startBroker(t)
	r := startServiceWith(t, t.TempDir(), strings.Replace(configText, "BROKER", b.url, 1)+
		"  - {id: scale, driver: lines, port: "+port+", patterns: [{match: '^(?P<weight>[0-9]+)$'}]}\n")
	r.awaitConnected(t)
	weigh := func(grams int) {
		t.Helper()
		eventually(t, func() error {
			if _, err := fmt.Fprintf(far, "%d\n", grams); err != nil {
				return err
			}
			if all := strings.Join(b.on("fieldpost/gw/telemetry"), ""); !strings.Contains(all, fmt.Sprintf(`"name":"weight","value":%d`, grams)) {
				return errors.New("no reading of the port yet")
			}
			return nil
		})
	}
	weigh(1)
	if err := near.Close(); err != nil { // the gateway alone has it now
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, far)
		closed <- err
	}()
	r.edit(t, "  - {id: board, driver: sysfs, every: 500ms}\n", "  - {id: lamp, driver: sim}\n", "every: 100ms", "every: 110ms")
	r.reload(t)
	r.edit(t, "driver: lines,", "driver: lines, deadband: {weight: 0.5},")
	if got := r.reload(t); !slices.Equal(got.Tuned, []gateway.DeviceID{"scale"}) {
		t.Errorf("reloaded %+v", got)
	}
	weigh(2)
	select {
	case err := <-closed:
		t.Errorf("the port was closed: %v", err)
	default:
	}
	r.edit(t, "driver: lines,", "driver: lines, baud: 19200,")
	if got := r.reload(t); !slices.Equal(got.Reopened, []gateway.DeviceID{"scale"}) {
		t.Errorf("reloaded %+v", got)
	}
	weigh(3)
	if settings, err := unix.IoctlGetTermios(int(far.Fd()), unix.TCGETS); err != nil || settings.Cflag&unix.CBAUD != unix.B19200 {
		t.Errorf("the port was not opened anew with the new rate: %+v, %v", settings, err)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
	// Only now: a port that is opened again at once can go unnoticed here.
	if err := <-closed; !errors.Is(err, syscall.EIO) {
		t.Errorf("the far side heard %v", err)
	}
}

// TestRulesGoOnOverAReload: one that has begun does not begin again, its output stays
// on, and it ends as it would have; what a rule that is gone has moved becomes safe.
func TestRulesGoOnOverAReload(t *testing.T) {
	b := startBroker(t)
	r := startServiceWith(t, t.TempDir(), strings.Replace(configText, "BROKER", b.url, 1)+`  - {id: lamp, driver: sim, actuations: DIR/lamp}
rules:
  - {id: warm, when: bench.temperature > -50, do: {device: lamp, action: relay, args: {on: true}}, otherwise: {device: lamp, action: relay, args: {on: false}}}
`)
	r.awaitConnected(t)
	last := func(want string) []string {
		t.Helper()
		var lines []string
		eventually(t, func() error {
			if lines = r.actuations(t, "lamp"); !strings.Contains(lines[len(lines)-1], want) {
				return fmt.Errorf("want %s last in %q", want, lines)
			}
			return nil
		})
		return lines
	}
	before := last("relay on=true")
	r.edit(t, "  - {id: board, driver: sysfs, every: 500ms}\n", "  - {id: other, driver: sim}\n")
	r.reload(t)
	r.edit(t, "every: 100ms", "every: 150ms")
	r.reload(t)
	if after := last("relay on=true"); len(after) != len(before) {
		t.Errorf("the rule began again:\n%s", strings.Join(after, ""))
	}
	r.edit(t, "id: lamp, driver: sim,", "id: lamp, driver: sim, seed: 2,") // opened anew, which makes it safe
	r.reload(t)
	if after := last("relay on=true"); len(after) < len(before)+2 {
		t.Errorf("the lamp was not opened anew:\n%s", strings.Join(after, ""))
	}
	r.edit(t, "> -50", "> 300")
	r.reload(t)
	last("relay on=false")
	r.edit(t, "> 300", "> -50")
	r.reload(t)
	last("relay on=true")
	r.edit(t, "id: warm, when: bench.temperature > -50, do: {device: lamp,", "id: cold, when: bench.temperature > 300, do: {device: other,", "otherwise: {device: lamp,", "otherwise: {device: other,")
	r.reload(t)
	last("safe off")
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// TestGroupsOfRulesOverAReload: a member that was opened anew follows the rule again,
// and what a rule has moved by a group becomes safe when both are gone.
func TestGroupsOfRulesOverAReload(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	r := startServiceWith(t, t.TempDir(), strings.Replace(configText, "BROKER", b.url, 1)+`  - {id: lamp, driver: sim, actuations: DIR/lamp}
  - {id: shed, driver: sim, actuations: DIR/shed}
groups: {both: [lamp, shed]}
rules:
  - {id: warm, when: bench.temperature > -50, do: {device: both, action: relay, args: {on: true}}}
`)
	r.awaitConnected(t)
	last := func(want string) {
		t.Helper()
		for _, file := range []string{"lamp", "shed"} {
			eventually(t, func() error {
				if lines := r.actuations(t, file); len(lines) == 0 || !strings.Contains(lines[len(lines)-1], want) {
					return fmt.Errorf("%s: want %s last in %q", file, want, lines)
				}
				return nil
			})
		}
	}
	last("relay on=true")
	r.edit(t, "id: lamp, driver: sim,", "id: lamp, driver: sim, seed: 2,") // which makes it safe
	r.reload(t)
	last("relay on=true")
	r.edit(t, "groups: {both: [lamp, shed]}\n", "", "id: warm, when: bench.temperature > -50, do: {device: both,", "id: other, when: bench.temperature > 300, do: {device: bench,")
	r.reload(t)
	last("safe off")
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// TestTermsChangeOnTheFly: who may command a device changes without a touch of it.
func TestTermsChangeOnTheFly(t *testing.T) {
	b := startBroker(t)
	r := startService(t, t.TempDir(), b.url)
	r.awaitConnected(t)
	r.do(t, "bench", "relay", `{"on":true}`)
	done := r.actuations(t, "actuations")
	r.edit(t, "driver: sim,", "driver: sim, allow: [local],")
	if got := r.reload(t); !slices.Equal(got.Tuned, []gateway.DeviceID{"bench"}) || len(got.Reopened) > 0 {
		t.Errorf("reloaded %+v", got)
	}
	if err := b.server.Publish("fieldpost/gw/commands", []byte(`{"id":"c1","device":"bench","action":"relay","args":{"on":false}}`), false, 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if all := strings.Join(b.on("fieldpost/gw/results"), ""); !strings.Contains(all, `"correlation":"c1"`) || !strings.Contains(all, `"status":"denied"`) {
			return fmt.Errorf("results %s", all)
		}
		return nil
	})
	if got := r.actuations(t, "actuations"); len(got) != len(done) {
		t.Errorf("it was touched:\n%s", strings.Join(got, ""))
	}
	if got := r.do(t, "bench", "relay", `{"on":false}`); got.Status != gateway.StatusDone {
		t.Errorf("from the board: %+v", got)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// TestOutputsAreWatchedOverAReload: while a device that is no more does not come back
// from being closed, another one loses what it may be on for.
func TestOutputsAreWatchedOverAReload(t *testing.T) {
	const gone = "  - {id: stuck, driver: sim, actuations: DIR/fifo}\n  - {id: old, driver: sim, actuations: DIR/old}\n"
	b, dir := startBroker(t), t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	fifo, err := syscall.Open(filepath.Join(dir, "fifo"), syscall.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fifo)
	r := startServiceWith(t, dir, strings.Replace(configText, "BROKER", b.url, 1)+
		"  - {id: pump, driver: sim, actuations: DIR/pump, only_while: programs.level > 10, only_while_max_age: 1h}\n"+gone)
	r.awaitConnected(t)
	r.handIn(t, `{"name":"level","value":20}`)
	r.do(t, "pump", "relay", `{"on":true}`)
	for err == nil { // until it is full
		_, err = syscall.Write(fifo, []byte("."))
	}
	before := len(r.actuations(t, "old"))
	r.edit(t, strings.ReplaceAll(gone, "DIR", dir), "  - {id: fresh, driver: sim, actuations: DIR/fresh}\n")
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.call(t, http.MethodPost, "/v1/reload", "")
	}()
	eventually(t, func() error {
		if len(r.actuations(t, "old")) == before {
			return errors.New("devices are not closed yet")
		}
		return nil
	})
	r.handIn(t, `{"name":"level","value":5}`)
	eventually(t, func() error {
		if all := r.actuations(t, "pump"); !strings.HasSuffix(all[len(all)-1], "safe off\n") {
			return fmt.Errorf("the pump goes on: %s", all)
		}
		return nil
	})
	if len(r.actuations(t, "fresh")) > 0 {
		t.Error("the pump had to wait for the new devices")
	}
	<-done
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// TestReloadRefuses what is wrong and what takes a restart, as a whole.
func TestReloadRefuses(t *testing.T) {
	b := startBroker(t)
	r := startService(t, t.TempDir(), b.url)
	r.awaitConnected(t)
	file := filepath.Join(r.dir, "fieldpost.yaml")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		edit []string
		code int
		want []string
	}{
		{[]string{"every: 500ms", "every: 500", "driver: ingest", "driver: ingst"}, 422, []string{`fieldpost.yaml:8:39: devices[board].every: "500" is not allowed: the unit is missing`, `did you mean ingest?`}},
		{[]string{"max_bytes: 64MB, min_free: 64MB", "max_bytes: 65MB, min_free: 66MB", "id: gw", "id: gx", "every: 100ms", "every: 3s"}, 409, []string{"gateway.id, queue.max_bytes, queue.min_free, which takes a restart"}},
		{[]string{"url: ", "tpoic: x, url: "}, 422, []string{`upstreams[0].tpoic: is not a key`}},
	} {
		r.edit(t, c.edit...)
		code, body := r.call(t, http.MethodPost, "/v1/reload", "")
		var f Fault
		if err := json.Unmarshal([]byte(body), &f); err != nil || code != c.code {
			t.Errorf("%v: %d %s", c.edit, code, body)
		}
		for _, want := range c.want {
			if !strings.Contains(f.Error, want) {
				t.Errorf("%v: want %q in\n%s", c.edit, want, f.Error)
			}
		}
		if _, status := r.call(t, http.MethodGet, "/v1/status", ""); !strings.Contains(status, conditionReload) {
			t.Errorf("%v: there is no condition", c.edit)
		}
		if err := os.WriteFile(file, good, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := r.reload(t); !strings.Contains(got.Text(), "no device and no connection") {
			t.Errorf("after %v: something was half applied: %s", c.edit, got.Text())
		}
		if _, status := r.call(t, http.MethodGet, "/v1/status", ""); strings.Contains(status, conditionReload) {
			t.Errorf("after %v: the condition stands", c.edit)
		}
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// TestReloadsAmidCommands: none is lost, done twice or answered twice, whatever changes
// meanwhile; and a gateway does not grow by being reloaded.
func TestReloadsAmidCommands(t *testing.T) {
	const reloads = 50
	b := startBroker(t)
	r := startService(t, t.TempDir(), b.url)
	r.awaitConnected(t)
	lamps := []string{"", "  - {id: lamp, driver: sim, actuations: DIR/lamp}\n", "  - {id: lamp, driver: sim, seed: 2, actuations: DIR/lamp}\n"}
	text, err := os.ReadFile(filepath.Join(r.dir, "fieldpost.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	stop, sent := make(chan struct{}), make(chan int)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				sent <- n
				return
			case <-tick.C:
			}
			// The broker forgets messages that have to come again on another connection,
			// when it takes their packet ids for those of results: no more than fit are
			// left with it.
			if 2*n-len(b.on("fieldpost/gw/results")) > 500 {
				n--
				continue
			}
			for _, device := range []string{"bench", "lamp"} {
				_ = b.server.Publish("fieldpost/gw/commands", fmt.Appendf(nil, `{"id":"%s%05d","device":"%[1]s","action":"pulse","args":{"ms":3}}`, device, n), false, 1)
			}
		}
	}()
	files, goroutines := 0, 0
	for n := range reloads {
		if err := os.WriteFile(filepath.Join(r.dir, "fieldpost.yaml"), []byte(string(text)+strings.ReplaceAll(lamps[n%3], "DIR", r.dir)), 0o600); err != nil {
			t.Fatal(err)
		}
		r.reload(t)
		if n == 3 {
			files, goroutines = openFiles(t), len(ownGoroutines())
		}
	}
	close(stop)
	n := <-sent
	var results []string
	eventually(t, func() error {
		results = b.on("fieldpost/gw/results")
		if len(results) < 2*n {
			return fmt.Errorf("%d of %d results", len(results), 2*n)
		}
		return nil
	})
	if got := openFiles(t); got > files+5 {
		t.Errorf("%d files are open, after the first reloads it was %d", got, files)
	}
	if got := len(ownGoroutines()); got > goroutines+5 {
		t.Errorf("%d goroutines, after the first reloads it was %d", got, goroutines)
	}
	seen := make(map[string]bool)
	for _, body := range results {
		var m struct{ Correlation, Status string }
		if err := json.Unmarshal([]byte(body), &m); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		if seen[m.Correlation] {
			t.Errorf("two results of %s", m.Correlation)
		}
		seen[m.Correlation] = true
	}
	for _, file := range []string{"actuations", "lamp"} {
		once := make(map[string]bool)
		for _, line := range r.actuations(t, file) {
			if f := strings.Fields(line); strings.Contains(line, "pulse") && once[f[1]] {
				t.Errorf("done twice: %s", line)
			} else if strings.Contains(line, "pulse") {
				once[f[1]] = true
			}
		}
		t.Logf("%s: %d of %d commands done", file, len(once), n)
		if len(once) == 0 || file == "actuations" && len(once) != n {
			t.Errorf("%s: %d commands were done", file, len(once))
		}
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestSameFileIsNoDifference, whatever drivers there are: else every reload would open
// their devices anew.
func TestSameFileIsNoDifference(t *testing.T) {
	examples, err := filepath.Glob("../../configs/examples/*.yaml")
	if err != nil || len(examples) < 10 {
		t.Fatalf("%d examples: %v", len(examples), err)
	}
	for _, file := range append(examples, "../../configs/fieldpost.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, _ := parse(file, text)
		second, _ := parse(file, text)
		a := &assembly{config: first}
		for _, spec := range first.devices {
			a.devices = append(a.devices, &device{id: gateway.DeviceID(spec.ID), spec: spec})
		}
		d, err := a.compare(second, bus.New(bus.Options{Configs: first.buses}))
		if err != nil || len(d.left) > 0 || len(d.Added)+len(d.Tuned) > 0 || d.link {
			t.Errorf("%s: %+v, %v", file, d.Reloaded, err)
		}
	}
}

// TestSettingsLieOverTheNewFile: those in force stay so, and what was for a device that
// was not there is in force once it is.
func TestSettingsLieOverTheNewFile(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	r := h.startOnHub(t, t.TempDir())
	version := h.desire(t, http.MethodPatch, `{"settings":{"devices":{"bench":{"enabled":false}}},"outputs":{"lamp":{"relay":{"on":true}}}}`)
	h.awaitVerdict(t, version, SettingsApplied)
	r.edit(t, "every: 500ms", "every: 400ms", "devices:\n", "devices:\n  - {id: lamp, driver: sim, actuations: DIR/lamp}\n")
	r.reload(t)
	if st := r.device(t, "bench").State; st != "disabled" {
		t.Errorf("bench is %s after the reload", st)
	}
	eventually(t, func() error {
		if lines := r.actuations(t, "lamp"); len(lines) == 0 || !strings.Contains(lines[len(lines)-1], "relay on=true") {
			return fmt.Errorf("the hub wants the lamp on; it did %q", lines)
		}
		return nil
	})
	version = h.desire(t, http.MethodPatch, `{"settings":{"devices":{"bench":null,"attic":{"every":"1m"}}}}`)
	h.awaitVerdict(t, version, SettingsRejected)
	r.edit(t, "id: board,", "id: attic,")
	r.reload(t)
	h.awaitVerdict(t, version, SettingsApplied)
	eventually(t, func() error {
		if every := h.twin(t).Properties.Reported.Devices["attic"].Every; every != "1m0s" || r.device(t, "bench").State != "good" {
			return fmt.Errorf("attic is read every %s, bench is %s", every, r.device(t, "bench").State)
		}
		return nil
	})
	r.edit(t, "id: attic,", "id: board,")
	r.reload(t)
	h.awaitVerdict(t, version, SettingsRejected)
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}
