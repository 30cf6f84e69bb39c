package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// hub is the simulated IoT Hub as its back end sees it.
type hub struct {
	https, ca, device string
	client            *http.Client
}

// openHub waits for the simulator to say in hubsim.json where it is.
func openHub(ctx context.Context, dir string, sim *program) (*hub, error) {
	file := filepath.Join(dir, "hubsim.json")
	started := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		info, err := os.Stat(file)
		if err == nil && !info.ModTime().Before(started.Add(-time.Second)) {
			break
		}
		select {
		case <-tick.C:
		case <-sim.ended:
			return nil, sim.failure()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return readHub(file)
}

// httpsPort is where uploads of files begin.
func (h *hub) httpsPort() string {
	_, port, _ := net.SplitHostPort(h.https) // the simulator has written it
	return port
}

func readHub(file string) (*hub, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var info struct {
		HTTPS   string
		CA      string
		Devices []struct {
			ID               string
			ConnectionString string `json:"connection_string"`
		}
	}
	if err := json.Unmarshal(data, &info); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	h := &hub{https: info.HTTPS, ca: info.CA}
	for _, d := range info.Devices {
		if d.ID == "demo" {
			h.device = d.ConnectionString
		}
	}
	pem, err := os.ReadFile(info.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if h.device == "" || !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no device demo or no CA", file)
	}
	h.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	return h, nil
}

// event is one message as the hub has received it.
type event struct {
	Offset     int64
	Enqueued   time.Time
	Properties map[string]string
	Body       json.RawMessage
}

// follow shows what arrives from now on until ctx ends.
func (h *hub) follow(ctx context.Context, show *screen) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+h.https+"/hubsim/events", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := h.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	since := time.Now().Add(-5 * time.Second)
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue
		}
		var e event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("event from the hub: %w", err)
		}
		if e.Enqueued.After(since) { // older ones are of an earlier run
			show.event(e)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(errors.New("the hub closed the stream of events"), lines.Err())
}

// command switches the relay of the simulated board to and fro.
func (h *hub) command(ctx context.Context, every time.Duration, show *screen) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n, on := 1, true; ; n, on = n+1, !on {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		id := fmt.Sprintf("demo-%d-%d", time.Now().Unix(), n)
		show.command(id, on)
		if err := h.send(ctx, id, fmt.Sprintf(`{"device":"greenhouse","action":"relay","args":{"on":%t}}`, on)); err != nil && ctx.Err() == nil {
			show.note("command not sent: " + err.Error())
		}
	}
}

func (h *hub) send(ctx context.Context, id, body string) error {
	url := "https://" + h.https + "/devices/demo/messages/devicebound?api-version=2021-04-12"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("iothub-messageid", id)
	req.Header.Set("iothub-expiry", time.Now().Add(time.Minute).UTC().Format(time.RFC3339))
	resp, err := h.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the hub answers %s", resp.Status)
	}
	return nil
}
