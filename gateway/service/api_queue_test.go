package service

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/audit"
)

func TestQueueAPIRefusesWhatItCannotUnderstand(t *testing.T) {
	b := startBroker(t)
	r := startService(t, t.TempDir(), b.url)
	r.awaitConnected(t)
	cases := []struct {
		method, path, body string
		code               int
		want               string
	}{
		{http.MethodGet, "/v1/queue/export?lane=nowhere", "", 400, "there is alerts"},
		{http.MethodGet, "/v1/queue/export?lane=alerts&from=x", "", 400, "want a sequence number"},
		{http.MethodGet, "/v1/queue/export?from=4", "", 400, "and a lane"},
		{http.MethodPost, "/v1/queue/purge", `{"lane":"nowhere"}`, 400, "there is alerts"},
		{http.MethodPost, "/v1/queue/purge", `{"lanes":"alerts"}`, 400, "unknown field"},
		{http.MethodPost, "/v1/queue/purge", ``, 400, "purge: "},
		{http.MethodGet, "/v1/queue/purge", ``, 405, ""},
		{http.MethodPost, "/v1/deadletters/retry", `{"ids":[]}`, 400, "want 1 to 100"},
		{http.MethodPost, "/v1/deadletters/retry", `{"ids":["nonsense"]}`, 400, "nonsense"},
		{http.MethodPost, "/v1/deadletters/retry", `{"ids":["ab-deadletter-1"]}`, 200, "there is no dead letter ab-deadletter-1"},
		{http.MethodPost, "/v1/deadletters/delete", `{"ids":["ab-deadletter-1"]}`, 400, "there is no dead letter ab-deadletter-1"},
		{http.MethodPost, "/v1/deadletters/delete", `{"ids":["x"` + strings.Repeat(`,"x"`, 100) + `]}`, 400, "want 1 to 100"},
	}
	for _, c := range cases {
		if code, body := r.call(t, c.method, c.path, c.body); code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("%s %s %s: %d %s, want %d with %q", c.method, c.path, c.body, code, body, c.code, c.want)
		}
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// TestHoldingsAndReceivedAreAll: at any moment of a running gateway the
// receiver, asked afterwards, and the queue have all that was accepted.
func TestHoldingsAndReceivedAreAll(t *testing.T) {
	b := startBroker(t)
	r := startService(t, t.TempDir(), b.url)
	r.awaitConnected(t)
	for range 20 {
		code, body := r.call(t, http.MethodGet, "/v1/queue/holdings", "")
		var line WorkLine
		lines := strings.Split(strings.TrimSpace(body), "\n")
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil || code != http.StatusOK || len(line.Holdings) == 0 {
			t.Fatalf("%d %s: %v", code, body, err)
		}
		a := audit.New()
		for _, h := range line.Holdings {
			if err := a.Hold(h); err != nil {
				t.Fatal(err)
			}
		}
		for _, lane := range []gateway.Lane{gateway.LaneTelemetry, gateway.LaneAlerts, gateway.LaneResults, gateway.LaneGaps} {
			for _, envelope := range b.on("fieldpost/gw/" + string(lane)) {
				if err := a.Add([]byte(envelope)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if report := a.Report(); !report.Complete {
			t.Fatalf("%+v\nholdings %s", report, body)
		}
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// TestStopWhileSomebodyExports: the stop waits for no reader, and the queue is
// not closed under the hands of the one who reads it.
func TestStopWhileSomebodyExports(t *testing.T) {
	r := startService(t, t.TempDir(), "mqtt://127.0.0.1:1") // nobody there
	eventually(t, func() error {
		if _, body := r.call(t, http.MethodGet, "/v1/queue/export?lane=telemetry", ""); strings.Count(body, "\n") < 3 {
			return errors.New("nothing waits yet")
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reading, ended := make(chan bool, 1), make(chan error, 1)
	go func() { ended <- readAgainAndAgain(ctx, r.client, reading) }()
	<-reading
	if err := r.stop(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// readAgainAndAgain exports until the gateway is gone; a line that is there is
// whole, unless the connection was cut in it.
func readAgainAndAgain(ctx context.Context, client *http.Client, reading chan<- bool) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://fieldpost/v1/queue/export", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil
		}
		lines := bufio.NewReader(resp.Body)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				if err == io.EOF {
					break
				}
				return errors.Join(resp.Body.Close())
			}
			if !json.Valid(line) {
				return fmt.Errorf("a line that is not whole: %s", line)
			}
			select {
			case reading <- true:
			default:
			}
		}
		if err := resp.Body.Close(); err != nil {
			return err
		}
	}
}
