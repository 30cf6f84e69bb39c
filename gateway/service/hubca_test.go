package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/hubsim"
)

// caRig is a gateway with a child whose ca_file is that of the first CA of a hub,
// and the data of another hub, with another CA.
type caRig struct {
	t           *testing.T
	hub         *simHub
	data, other string
	dir         string
	*running
}

func newCARig(t *testing.T) *caRig {
	c := &caRig{t: t, data: t.TempDir(), other: t.TempDir(), dir: t.TempDir()}
	_ = startHubWith(t, hubsim.Options{Data: c.other}).Close()
	c.hub = startHubWith(t, hubsim.Options{Data: c.data, Devices: []string{"gw", "node"}})
	c.copy(filepath.Join(c.data, "ca.pem"), c.caFile())
	return c
}

func (c *caRig) caFile() string { return filepath.Join(c.dir, "ca.pem") }

func (c *caRig) copy(from, to string) {
	c.t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// start starts the gateway. Its probation is long: what has failed is not waited for.
func (c *caRig) start(probation time.Duration) {
	c.t.Helper()
	at := c.hub.Info()
	_, port, _ := net.SplitHostPort(at.HTTPS)
	text := strings.Replace(configText, "{type: mqtt, url: BROKER}", fmt.Sprintf(
		"{type: iothub, connection_string: %q, ca_file: %q, https_port: %s, children: [{lane: node, connection_string: %q}]}",
		at.Devices[0].ConnectionString, c.caFile(), port, at.Devices[1].ConnectionString), 1)
	c.running = startServiceWith(c.t, c.dir, text, func(l *Loaded) { l.Settings.Probation = probation })
}

func (c *caRig) end() {
	c.t.Helper()
	if err := c.stop(c.t); err != nil {
		c.t.Errorf("Run returned %v", err)
	}
}

// rotate gives the hub the other CA.
func (c *caRig) rotate() {
	c.t.Helper()
	at := c.hub.Info()
	if err := c.hub.Close(); err != nil {
		c.t.Fatal(err)
	}
	for _, file := range []string{"ca.pem", "ca.key"} {
		c.copy(filepath.Join(c.other, file), filepath.Join(c.data, file))
	}
	c.hub = startHubWith(c.t, hubsim.Options{Data: c.data, MQTT: at.MQTT, HTTPS: at.HTTPS})
}

// bundle is the JSON of CAs: of this hub, and of the other.
func (c *caRig) bundle(dirs ...string) string {
	c.t.Helper()
	texts := map[string]string{}
	for i, dir := range dirs {
		data, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
		if err != nil {
			c.t.Fatal(err)
		}
		texts[fmt.Sprint(i)] = string(data)
	}
	text, err := json.Marshal(texts)
	if err != nil {
		c.t.Fatal(err)
	}
	return `{"settings":{"ca":` + string(text) + `}}`
}

// desire asks the gateway for something, and waits for the verdict.
func (c *caRig) desire(properties string, status VerdictStatus) Verdict {
	c.t.Helper()
	return c.hub.awaitVerdict(c.t, c.hub.desire(c.t, http.MethodPatch, properties), status)
}

func (c *caRig) status() (st Status) {
	c.t.Helper()
	_, body := c.call(c.t, http.MethodGet, "/v1/status", "")
	unmarshal(c.t, body, &st)
	return st
}

func (c *caRig) awaitProof() {
	c.t.Helper()
	eventually(c.t, func() error {
		if st := c.status().Settings; st.Probation || !st.CA {
			return fmt.Errorf("settings %+v", st)
		}
		return nil
	})
}

func (c *caRig) conditions() (codes []string) {
	c.t.Helper()
	for _, one := range c.status().Conditions {
		if one.Severity == health.Error || one.Code == conditionRolledBack {
			codes = append(codes, one.Code)
		}
	}
	return codes
}

func (c *caRig) awaitConditions(want ...string) {
	c.t.Helper()
	eventually(c.t, func() error {
		if got := c.conditions(); !slices.Equal(got, want) {
			return fmt.Errorf("conditions %q, want %q", got, want)
		}
		return nil
	})
}

// awaitOthers waits for the connections that prove nothing: that of the child, made
// after a moment, and those of an upload.
func (c *caRig) awaitOthers(after time.Time) {
	c.t.Helper()
	eventually(c.t, func() error {
		if child := c.status().Children[0]; !child.Connected || child.Since.Before(after) {
			return fmt.Errorf("child %+v", child)
		}
		return nil
	})
	c.awaitUpload(c.t, c.upload(c.t, "day.txt", "sun").ID, done)
}

func (c *caRig) renewals() int { return strings.Count(c.logs.String(), "uplink renews its session") }

// TestNextCAOfAHub: a bundle with the next CA is proved by a connection of its
// own and kept. When the hub has changed, the board is there; the way back to
// a ca_file that knows the old CA alone is none.
func TestNextCAOfAHub(t *testing.T) {
	t.Parallel()
	c := newCARig(t)
	c.start(6 * time.Second)
	c.hub.awaitVerdict(t, 1, SettingsApplied)
	c.desire(c.bundle(c.data, c.other), SettingsApplied)
	c.awaitProof()
	c.desire(`{"x":1}`, SettingsApplied)
	if n := c.renewals(); n != 1 {
		t.Errorf("the session was made anew %d times", n)
	}
	before := time.Now()
	c.rotate()
	c.desire(`{"x":2}`, SettingsApplied)
	c.awaitOthers(before)
	c.end()
	if err := os.Remove(filepath.Join(c.dir, "data", "ca-hub.pem")); err != nil { // the settings are enough
		t.Fatal(err)
	}
	c.start(time.Hour)
	c.desire(`{"x":3}`, SettingsApplied)
	v := c.desire(`{"settings":{"ca":null}}`, SettingsRolledBack)
	if len(v.Errors) != 1 || !strings.Contains(v.Errors[0], "the hub cannot be verified with the CAs that would count: ") {
		t.Errorf("verdict %+v", v)
	}
	c.awaitConditions(conditionRolledBack)
	if st := c.status(); !st.Settings.CA || !st.Upstream.Connected {
		t.Errorf("status %+v, %+v", st.Settings, st.Upstream)
	}
	c.copy(filepath.Join(c.data, "ca.pem"), c.caFile()) // now it would work
	c.desire(c.bundle(c.data), SettingsApplied)
	c.desire(`{"settings":null}`, SettingsApplied)
	c.awaitConditions()
	c.end()
}

// TestWrongCAs: what does not verify the hub is taken back as soon as an earlier
// bundle has; what is no bundle changes nothing.
func TestWrongCAs(t *testing.T) {
	t.Parallel()
	c := newCARig(t)
	c.start(time.Hour)
	c.hub.awaitVerdict(t, 1, SettingsApplied)
	file := filepath.Join(c.dir, "data", "settings.json")
	v := c.desire(`{"settings":{"ca":"-----BEGIN CERTIFICATE-----\nMIIB","devices":{"bench":{"enabled":false}}}}`, SettingsRejected)
	if len(v.Errors) != 1 || !strings.HasPrefix(v.Errors[0], "settings.ca: 1 of 1 blocks are no PEM") {
		t.Errorf("verdict %+v", v)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) || c.renewals() != 0 {
		t.Errorf("a bundle that was rejected had an effect: %v", err)
	}

	wrong := strings.Replace(c.bundle(c.other), `{"settings":{`, `{"settings":{"devices":{"bench":{"enabled":false}},`, 1)
	v = c.desire(wrong, SettingsRolledBack)
	if len(v.Errors) != 1 || !strings.Contains(v.Errors[0], "the hub cannot be verified with the CAs that would count: ") {
		t.Errorf("verdict %+v", v)
	}
	c.awaitConditions(conditionRolledBack)
	if st := c.status().Settings; st.CA || len(st.Devices) != 0 {
		t.Errorf("settings %+v", st)
	}
	c.desire(`{"x":1}`, SettingsRolledBack) // not tried again
	if n := c.renewals(); n != 1 {
		t.Errorf("the session was made anew %d times", n)
	}
	c.end()

	// A kill after the settings were put on record, and before anything was tried.
	var asked struct{ Settings map[string]any }
	unmarshal(t, wrong, &asked)
	record := settingsRecord{Version: 9, InForce: asked.Settings, Probation: &probation{Before: map[string]any{}}}
	if err := record.write(file); err != nil {
		t.Fatal(err)
	}
	c.start(time.Hour)
	v = c.desire(`{"x":2}`, SettingsRolledBack)
	if len(v.Errors) != 1 || !strings.Contains(v.Errors[0], "cannot be verified") {
		t.Errorf("verdict %+v", v)
	}
	c.desire(`{"settings":{"ca":null,"devices":null}}`, SettingsApplied)
	c.awaitConditions()
	c.end()
}
