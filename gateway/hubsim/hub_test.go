package hubsim

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// tear adds what a write that was interrupted leaves behind.
func tear(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func TestInfoFile(t *testing.T) {
	r := startRig(t)
	path := filepath.Join(r.dir, "hubsim.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		MQTT, HTTPS, CA string
		Service         string `json:"service_connection_string"`
		Devices         []struct {
			ID         string
			Connection string `json:"connection_string"`
		}
		DPS struct {
			Endpoint string
			IDScope  string `json:"id_scope"`
			GroupKey string `json:"group_key"`
		}
	}
	if err := json.Unmarshal(data, &info); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(r.Info().MQTT, ":")
	if info.MQTT != "127.0.0.1:"+port || port == "0" || info.HTTPS != r.Info().HTTPS || !filepath.IsAbs(info.CA) ||
		len(info.Devices) != 2 || info.Devices[0].ID != "d1" ||
		info.Devices[0].Connection != "HostName=localhost:"+port+";DeviceId=d1;SharedAccessKey="+r.key("d1") ||
		!strings.HasPrefix(info.Service, "HostName=localhost;SharedAccessKeyName=iothubowner;SharedAccessKey=") ||
		info.DPS.Endpoint != "localhost:"+port || !strings.HasPrefix(info.DPS.IDScope, "0ne") || !validKey(info.DPS.GroupKey) {
		t.Errorf("hubsim.json: %s", data)
	}
	for _, name := range []string{"hubsim.json", "keys.json", "ca.key", "state.ndjson", "events.ndjson"} {
		if s, err := os.Stat(filepath.Join(r.dir, name)); err != nil || s.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v; want 0600", name, s.Mode(), err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("hubsim.json of a hub that has stopped: %v, want none", err)
	}
}

func TestStartFails(t *testing.T) {
	r := startRig(t)
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "events.ndjson"), []byte("{}\nx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options Options
		want    []string
	}{
		"port of devices":   {Options{Data: t.TempDir(), MQTT: r.Info().MQTT}, []string{r.Info().MQTT, "--mqtt", "in use"}},
		"port of back ends": {Options{Data: t.TempDir(), HTTPS: r.Info().HTTPS}, []string{r.Info().HTTPS, "--https", "in use"}},
		"same directory":    {Options{Data: r.dir}, []string{r.dir, "in use by another hubsim"}},
		"no directory":      {Options{}, []string{"data directory"}},
		"device id":         {Options{Data: t.TempDir(), Devices: []string{"a b"}}, []string{"device id"}},
		"time to live":      {Options{Data: t.TempDir(), CommandTTL: time.Second}, []string{"1m to 48h"}},
		"damaged record":    {Options{Data: damaged}, []string{"events.ndjson", "line 1", "move the file away"}},
	} {
		h, err := Start(t.Context(), c.options)
		if err == nil {
			t.Errorf("%s: started", name)
			_ = h.Close()
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want it to say %q", name, err, want)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(r.dir, "hubsim.json")); err != nil {
		t.Errorf("a second hub has removed the file of the first: %v", err)
	}
}

// Clients of every kind hang on: the hub stops at once all the same.
func TestStopIsQuick(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", nil)
	r.rawDial() // has not said anything yet
	p.send("", "x")
	resp := r.request("GET", "/hubsim/events", "", "Accept", "text/event-stream")
	defer resp.Body.Close()
	r.fault(`{"kind":"delay-puback","ms":600000}`)
	p.Publish(p.topic(""), 1, false, "waits")
	eventually(t, "the second is recorded", func() bool { return r.record.newest() == 2 })
	started := time.Now()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(started); d > time.Second {
		t.Errorf("stopped after %v, want less than 1 s", d)
	}
	p.awaitLoss()
	if _, err := http.DefaultTransport.(*http.Transport).Clone().RoundTrip(resp.Request); err == nil {
		t.Error("the HTTPS port is still open")
	}
}

func TestRestartOnTheSameAddresses(t *testing.T) {
	r := startRig(t)
	r.connect("d1", nil).send("", "x")
	ca, _ := os.ReadFile(r.Info().CA)
	before := r.Info()
	r = r.restart()
	if after := r.Info(); after.MQTT != before.MQTT || after.HTTPS != before.HTTPS || after.DPS != before.DPS || after.Devices[0] != before.Devices[0] {
		t.Errorf("after the restart: %+v, before: %+v", after, before)
	}
	if again, _ := os.ReadFile(r.Info().CA); string(again) != string(ca) {
		t.Error("the CA has changed")
	}
	r.connect("d1", nil).send("", "y")
	if n := len(r.events("")); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
}
