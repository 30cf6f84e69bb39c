package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway/hubsim"
)

// TestMain lets the test binary be the program, so that it can be killed.
func TestMain(m *testing.M) {
	if os.Getenv("HUBSIM_TEST_PROCESS") != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

type process struct {
	*exec.Cmd
	output bytes.Buffer
	info   hubsim.Info
}

func command(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], args...)}
	p.Env = append(os.Environ(), "HUBSIM_TEST_PROCESS=1", "GORACE=atexit_sleep_ms=0")
	p.Stdout, p.Stderr = &p.output, &p.output
	return p
}

// start runs hubsim and waits until it says that it is ready.
func start(t *testing.T, dir, mqtt, https string) *process {
	t.Helper()
	p := command(t, "--data", dir, "--mqtt", mqtt, "--https", https, "--device", "gw", "--device", "other")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() })
	file := filepath.Join(dir, "hubsim.json")
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		data, err := os.ReadFile(file)
		if err == nil {
			if err := json.Unmarshal(data, &p.info); err != nil {
				t.Fatalf("%s: %v", data, err)
			}
			return p
		}
		if time.Now().After(end) {
			t.Fatalf("not ready in time:\n%s", p.output.String())
		}
	}
}

func (p *process) request(t *testing.T, method, path, body string) string {
	t.Helper()
	pem, err := os.ReadFile(p.info.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	req, err := http.NewRequest(method, "https://"+p.info.HTTPS+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s %s, %v", method, path, resp.Status, text, err)
	}
	return string(text)
}

func TestKillAndRestart(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, "127.0.0.1:0", "127.0.0.1:0")
	p.request(t, "POST", "/devices/gw/messages/devicebound?api-version=2021-04-12", "x")
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait()
	if err := os.Remove(filepath.Join(dir, "hubsim.json")); err != nil {
		t.Errorf("a killed hub cannot have tidied up: %v", err)
	}
	again := start(t, dir, p.info.MQTT, p.info.HTTPS)
	if again.info.Devices[0] != p.info.Devices[0] || len(again.info.Devices) != 2 {
		t.Errorf("devices %+v, were %+v", again.info.Devices, p.info.Devices)
	}
	if list := again.request(t, "GET", "/hubsim/commands?device=gw", ""); !strings.Contains(list, `"state":"queued"`) {
		t.Errorf("commands after kill -9: %s", list)
	}
	started := time.Now()
	if err := again.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := again.Wait(); err != nil || time.Since(started) > time.Second {
		t.Errorf("ended after %v with %v; output:\n%s", time.Since(started), err, again.output.String())
	}
	if _, err := os.Stat(filepath.Join(dir, "hubsim.json")); !os.IsNotExist(err) {
		t.Errorf("hubsim.json after a clean stop: %v", err)
	}
}

func TestPortInUse(t *testing.T) {
	p := start(t, t.TempDir(), "127.0.0.1:0", "127.0.0.1:0")
	for flag, other := range map[string]string{"--mqtt": "--https", "--https": "--mqtt"} {
		address := map[string]string{"--mqtt": p.info.MQTT, "--https": p.info.HTTPS}[flag]
		second := command(t, "--data", t.TempDir(), flag, address, other, "127.0.0.1:0")
		_ = second.Run()
		if text := second.output.String(); second.ProcessState.ExitCode() != 1 || !strings.Contains(text, address) || !strings.Contains(text, flag) {
			t.Errorf("%s: code %d, output %s", flag, second.ProcessState.ExitCode(), text)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--help"}, 0, "--data=DIR"},
		{nil, 2, "--data"},
		{[]string{"--data", "x", "--nonsense"}, 2, "--nonsense"},
		{[]string{"--data", filepath.Join(t.TempDir(), "x"), "--c2d-ttl", "1s"}, 1, "1m to 48h"},
	} {
		var out bytes.Buffer
		if code := run(c.args, &out, &out); code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("%v: code %d, output %s; want %d and %q", c.args, code, out.String(), c.code, c.want)
		}
	}
}
