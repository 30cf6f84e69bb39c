package service

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/drivers"
	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/hubsim"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
	"github.com/fieldpost/fieldpost/gateway/policy"
	"github.com/fieldpost/fieldpost/gateway/scene"
	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// simHub is a hub with the device gw, and a back end that uses it.
type simHub struct {
	*hubsim.Hub
	client *http.Client
}

func startHub(t *testing.T) *simHub {
	t.Helper()
	return startHubWith(t, hubsim.Options{Data: t.TempDir(), Devices: []string{"gw"}})
}

func startHubWith(t *testing.T, o hubsim.Options) *simHub {
	t.Helper()
	hub, err := hubsim.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hub.Close() })
	ca, err := os.ReadFile(hub.Info().CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &simHub{Hub: hub, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"},
	}}}
}

// token is that of a service that may do everything.
func (h *simHub) token(t *testing.T) string {
	t.Helper()
	fields := map[string]string{}
	for part := range strings.SplitSeq(h.Info().ServiceConnectionString, ";") {
		name, value, _ := strings.Cut(part, "=")
		fields[name] = value
	}
	key, err := base64.StdEncoding.DecodeString(fields["SharedAccessKey"])
	if err != nil {
		t.Fatal(err)
	}
	resource, expires := url.QueryEscape(fields["HostName"]), time.Now().Add(time.Hour).Unix()
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s\n%d", resource, expires)
	return fmt.Sprintf("SharedAccessSignature sr=%s&sig=%s&se=%d&skn=%s",
		resource, url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil))), expires, fields["SharedAccessKeyName"])
}

// ask sends a request as a back end, and decodes the answer into out.
func (h *simHub) ask(t *testing.T, method, path, body string, out any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://"+h.Info().HTTPS+path+"?api-version=2021-04-12", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", h.token(t))
	resp, err := h.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s, %v: %s", method, path, resp.Status, err, data)
	}
	if err := json.Unmarshal(data, out); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
}

// invoke calls a direct method of the gateway.
func (h *simHub) invoke(t *testing.T, name, payload string) (status int, answer map[string]any) {
	t.Helper()
	var a struct {
		Status  int
		Payload map[string]any
	}
	h.ask(t, http.MethodPost, "/twins/gw/methods", fmt.Sprintf(`{"methodName":%q,"responseTimeoutInSeconds":60,"payload":%s}`, name, payload), &a)
	return a.Status, a.Payload
}

// twinOf is the twin as the back end sees it.
type twinOf struct {
	Properties struct {
		Desired  map[string]any
		Reported struct {
			Gateway    reportedGateway
			Devices    map[string]reportedDevice
			Conditions map[string]reportedCondition
			Settings   Verdict
			Outputs    map[string]map[string]reportedOutput
			Faults     []string `json:"output_faults"`
		}
	}
}

func (h *simHub) twin(t *testing.T) (tw twinOf) {
	t.Helper()
	h.ask(t, http.MethodGet, "/twins/gw", "", &tw)
	return tw
}

// desire changes the desired properties and returns their version.
func (h *simHub) desire(t *testing.T, method, desired string) int64 {
	t.Helper()
	var tw twinOf
	h.ask(t, method, "/twins/gw", `{"properties":{"desired":`+desired+`}}`, &tw)
	return int64(tw.Properties.Desired["$version"].(float64))
}

func (h *simHub) awaitVerdict(t *testing.T, version int64, status VerdictStatus) Verdict {
	t.Helper()
	var got Verdict
	eventually(t, func() error {
		if got = h.twin(t).Properties.Reported.Settings; got.Version != version || got.Status != status {
			return fmt.Errorf("verdict %+v, want %s of version %d", got, status, version)
		}
		return nil
	})
	return got
}

// startOnHub starts a gateway for the hub's device gw.
func (h *simHub) startOnHub(t *testing.T, dir string, changes ...func(*Loaded)) *running {
	t.Helper()
	text := strings.Replace(configText, "{type: mqtt, url: BROKER}",
		fmt.Sprintf("{type: iothub, connection_string: %q, ca_file: %q}", h.Info().Devices[0].ConnectionString, h.Info().CA), 1)
	return startServiceWith(t, dir, text, changes...)
}

func (r *running) device(t *testing.T, id string) DeviceStatus {
	t.Helper()
	var list []DeviceStatus
	_, body := r.call(t, http.MethodGet, "/v1/devices", "")
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	for _, d := range list {
		if string(d.ID) == id {
			return d
		}
	}
	t.Fatalf("no device %s in %s", id, body)
	return DeviceStatus{}
}

// TestMethodOnAHub: a back end calls, the device acts, and the result comes
// both as the answer and as a message.
func TestMethodOnAHub(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	r := h.startOnHub(t, t.TempDir())
	r.awaitConnected(t)
	var status int
	var answer map[string]any
	eventually(t, func() error { // connected is a moment before subscribed
		if status, answer = h.invoke(t, "bench.relay", `{"on":true}`); status != 200 {
			return fmt.Errorf("%d %v", status, answer)
		}
		return nil
	})
	if answer["status"] != "done" || answer["device"] != "bench" || !strings.HasPrefix(answer["command"].(string), "method-") {
		t.Errorf("answered %v", answer)
	}
	for method, want := range map[string]int{"bench.jump": 404, "board.relay": 404, "nobody.relay": 404, "relay": 404} {
		if status, answer := h.invoke(t, method, "null"); status != want || answer["status"] != "denied" {
			t.Errorf("%s: %d %v, want %d", method, status, answer, want)
		}
	}
	if status, answer := h.invoke(t, "bench.relay", `{"on":"maybe"}`); status != 403 || answer["command"] == "" {
		t.Errorf("%d %v", status, answer)
	}
	if status, answer := h.invoke(t, "bench.relay", `[true]`); status != 400 {
		t.Errorf("%d %v", status, answer)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// TestSettingsOfAHub: a back end sets the pace of a device, sees what became of
// it, and a restart without a hub keeps it.
func TestSettingsOfAHub(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	dir := t.TempDir()
	version := h.desire(t, http.MethodPatch, `{"settings":{"devices":{"board":{"enabled":false}}},"other":{"x":1}}`) // before the first start
	r := h.startOnHub(t, dir)
	h.awaitVerdict(t, version, SettingsApplied)
	if st := r.device(t, "board").State; st != "disabled" {
		t.Errorf("board is %s", st)
	}
	tw := h.twin(t)
	if g := tw.Properties.Reported.Gateway; g.ID != "gw" || g.Version != "test" || g.Started.IsZero() {
		t.Errorf("reported %+v", g)
	}
	if d := tw.Properties.Reported.Devices["bench"]; d.Driver != "sim" || d.Every != "100ms" || d.Actions["relay"] != "on=true|false" {
		t.Errorf("reported %+v", d)
	}
	if usage := tw.Properties.Reported.Gateway.Actions["export-queue"]; usage != "lane=TEXT [limit=1..1000000]" {
		t.Errorf("the gateway's own action is reported as %q", usage)
	}

	version = h.desire(t, http.MethodPatch, `{"settings":{"devices":{"board":{"enabled":true,"every":"20ms"}}}}`)
	if v := h.awaitVerdict(t, version, SettingsRejected); len(v.Errors) != 1 || !strings.Contains(v.Errors[0], "settings.devices.board.every: \"20ms\" is not allowed") {
		t.Errorf("verdict %+v", v)
	}
	version = h.desire(t, http.MethodPatch, `{"settings":{"devices":{"board":{"every":"150ms"},"bench":{"enabled":false}}}}`)
	h.awaitVerdict(t, version, SettingsApplied)
	eventually(t, func() error {
		if board, bench := r.device(t, "board"), r.device(t, "bench"); board.State != "good" || bench.State != "disabled" {
			return fmt.Errorf("board is %s, bench is %s", board.State, bench.State)
		}
		return nil
	})
	var st Status
	if _, body := r.call(t, http.MethodGet, "/v1/status", ""); json.Unmarshal([]byte(body), &st) != nil ||
		st.Settings.Version != version || len(st.Settings.Devices) != 2 || !st.Settings.Probation {
		t.Errorf("status %+v", st.Settings)
	}
	version = h.desire(t, http.MethodPut, `{"settings":{"devices":{"bench":{"enabled":false}}}}`) // a replacement, which comes like a change
	h.awaitVerdict(t, version, SettingsApplied)
	eventually(t, func() error {
		if every := h.twin(t).Properties.Reported.Devices["board"].Every; every != "500ms" {
			return fmt.Errorf("board is read every %s", every)
		}
		return nil
	})
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}

	_ = h.Close()
	for state, restart := range map[string]func() *running{
		"disabled": func() *running { return h.startOnHub(t, dir) },
		"good":     func() *running { return startService(t, dir, "mqtt://127.0.0.1:1") }, // nobody there could change it
	} {
		r = restart()
		eventually(t, func() error {
			if code, _ := r.call(t, http.MethodGet, "/v1/devices", ""); code != http.StatusOK {
				return errors.New("not up yet")
			}
			if st := r.device(t, "bench").State; st != state {
				return fmt.Errorf("bench is %s after the restart, want %s", st, state)
			}
			return nil
		})
		if err := r.stop(t); err != nil {
			t.Errorf("Run returned %v", err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "fieldpost.yaml"))
	if err != nil || !strings.Contains(string(text), "id: board, driver: sysfs, every: 500ms") {
		t.Errorf("the config file was changed: %s, %v", text, err)
	}
}

// present is a device that is there.
type present struct{}

func (present) Check(context.Context) error { return nil }

// TestManyDevicesFitIntoATwin: what is reported stays within what a hub takes.
func TestManyDevicesFitIntoATwin(t *testing.T) {
	s := &Service{id: "gw", log: slog.New(slog.DiscardHandler), started: time.Now()}
	s.health = health.NewBoard(s.log)
	var devices []*device
	for i := range 400 {
		id := gateway.DeviceID(fmt.Sprintf("device.%d", i))
		source, err := pipeline.NewWatcher(pipeline.WatcherOptions{Device: id, Checker: present{}})
		if err != nil {
			t.Fatal(err)
		}
		devices = append(devices, &device{id: id, source: source, keeper: new(drivers.Keeper)})
		s.health.Raise("device:"+string(id), "error", strings.Repeat("why ", 1000))
	}
	none := &control{scenes: new(scene.Set)}
	s.current.Store(&assembly{config: &Loaded{}, devices: devices, policy: new(policy.Policy), control: none})
	s.remote = newRemote(remoteOptions{File: filepath.Join(t.TempDir(), "x"), Health: s.health, Log: s.log, CA: mqtt.NewReplacement(), Now: time.Now, Linked: func() bool { return true }, settable: settable{Probation: time.Minute}})
	s.wanted = newWanted(wantedOptions{Log: s.log})
	object := twin{s}.Reported()
	data, err := json.Marshal(object)
	if err != nil || len(data) > maxReportedBytes || object["left_out"] != true || object["gateway"] == nil || object["settings"] == nil {
		t.Errorf("%d bytes, %v: %.300s", len(data), err, data)
	}
	s.current.Store(&assembly{config: &Loaded{}, devices: devices[:100], policy: new(policy.Policy), control: none})
	s.health = health.NewBoard(s.log)
	for _, d := range devices[:100] {
		d.actuator = talented{}
	}
	object = twin{s}.Reported()
	if d, ok := object["devices"].(map[string]any)["device%2E0"].(map[string]any); object["left_out"] != true || !ok || d["actions"] != nil {
		t.Errorf("actions that do not fit: %.300v", object)
	}
	s.current.Store(&assembly{config: &Loaded{}, devices: devices[:1], policy: new(policy.Policy), control: none})
	object = twin{s}.Reported()
	d, _ := object["devices"].(map[string]any)["device%2E0"].(map[string]any)
	if object["left_out"] != nil || d == nil || len(d["actions"].(map[string]any)) != 8 {
		t.Errorf("reported %v", object)
	}
}

// talented is an actuator with many actions.
type talented struct{ gateway.Actuator }

func (talented) Actions() (list []gateway.Action) {
	for i := range 8 {
		list = append(list, gateway.Action{Name: fmt.Sprintf("action.%d", i), Args: []gateway.Arg{{Name: "mode", OneOf: []string{strings.Repeat("x", 50)}}}})
	}
	return list
}

// resultOf waits for the message that reports a command.
func (h *simHub) resultOf(t *testing.T, command string) map[string]any {
	t.Helper()
	var result map[string]any
	eventually(t, func() error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+h.Info().HTTPS+"/hubsim/events?device=gw&limit=10000", nil)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", h.token(t))
		resp, err := h.client.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		for d := json.NewDecoder(resp.Body); ; {
			var e struct {
				System map[string]string
				Body   json.RawMessage
			}
			if err := d.Decode(&e); err != nil {
				return fmt.Errorf("no result of %s: %w", command, err)
			}
			if e.System["correlation-id"] == command {
				return json.Unmarshal(e.Body, &result)
			}
		}
	})
	return result
}

// post asks for something that has no answer.
func (h *simHub) post(t *testing.T, path, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+h.Info().HTTPS+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", h.token(t))
	resp, err := h.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("%s: %s", path, resp.Status)
	}
}

// TestMethodOnALostLine: the device acts, the caller hears nothing, and the
// result comes as a message once the line is back.
func TestMethodOnALostLine(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	dir := t.TempDir()
	r := h.startOnHub(t, dir)
	h.awaitVerdict(t, 1, SettingsApplied)
	called := make(chan struct{})
	go func() {
		defer close(called)
		body := strings.NewReader(`{"methodName":"bench.pulse","responseTimeoutInSeconds":5,"payload":{"ms":500}}`)
		req, err := http.NewRequest(http.MethodPost, "https://"+h.Info().HTTPS+"/twins/gw/methods?api-version=2021-04-12", body)
		if err != nil {
			return
		}
		req.Header.Set("Authorization", h.token(t))
		if resp, err := h.client.Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}()
	var command string
	eventually(t, func() error {
		text, err := os.ReadFile(filepath.Join(dir, "actuations"))
		for line := range strings.Lines(string(text)) {
			if _, id, ok := strings.Cut(line, "method-"); ok {
				command = "method-" + strings.Fields(id)[0]
				return nil
			}
		}
		return fmt.Errorf("no pulse in %s, %w", text, err)
	})
	h.post(t, "/hubsim/devices/gw/disconnect", "")
	if result := h.resultOf(t, command); result["status"] != "done" || result["action"] != "pulse" {
		t.Errorf("result %v", result)
	}
	<-called
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// TestTwinOfABadHub: a hub that throttles, or loses changes, hinders nothing.
func TestTwinOfABadHub(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.post(t, "/hubsim/faults", `{"kind":"drop-desired","count":1}`)
	r := h.startOnHub(t, t.TempDir())
	h.awaitVerdict(t, 1, SettingsApplied)
	h.desire(t, http.MethodPatch, `{"settings":{"devices":{"bench":{"enabled":false}}}}`) // lost
	version := h.desire(t, http.MethodPatch, `{"x":1}`)                                   // and noticed
	h.awaitVerdict(t, version, SettingsApplied)
	if st := r.device(t, "bench").State; st != "disabled" {
		t.Errorf("bench is %s", st)
	}
	h.post(t, "/hubsim/faults", `{"kind":"throttle-twin","count":1}`)
	version = h.desire(t, http.MethodPatch, `{"settings":{"devices":{"bench":{"enabled":true}}}}`)
	eventually(t, func() error { // though it cannot be reported now
		if st := r.device(t, "bench").State; st != "good" {
			return fmt.Errorf("bench is %s", st)
		}
		return nil
	})
	h.awaitVerdict(t, version, SettingsApplied)
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// TestSettingsThatLoseTheHub: when the link does not come back within the
// probation, what was in force before is so again, and the hub is told.
func TestSettingsThatLoseTheHub(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	h := startHubWith(t, hubsim.Options{Data: data, Devices: []string{"gw"}})
	r := h.startOnHub(t, t.TempDir(), func(l *Loaded) { l.Settings.Probation = 10 * time.Second })
	h.awaitVerdict(t, 1, SettingsApplied)
	version := h.desire(t, http.MethodPatch, `{"settings":{"devices":{"bench":{"enabled":false}}}}`)
	eventually(t, func() error {
		if st := r.device(t, "bench").State; st != "disabled" {
			return fmt.Errorf("bench is %s", st)
		}
		return nil
	})
	address := h.Info().MQTT
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if st := r.device(t, "bench").State; st != "good" {
			return fmt.Errorf("bench is %s", st)
		}
		return nil
	})
	h = startHubWith(t, hubsim.Options{Data: data, MQTT: address})
	if v := h.awaitVerdict(t, version, SettingsRolledBack); len(v.Errors) != 1 || !strings.Contains(v.Errors[0], "no connection to the hub") {
		t.Errorf("verdict %+v", v)
	}
	if st := r.device(t, "bench").State; st != "good" {
		t.Errorf("bench is %s, though the hub still desires otherwise", st)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}
