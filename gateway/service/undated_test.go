package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway/clock"
)

// TestTimeThatIsNotKnownYet: a plain broker is told estimates until it is. What waits
// then is shown with its times, by the gateway or without it.
func TestTimeThatIsNotKnownYet(t *testing.T) {
	early, now := time.Now().AddDate(50, 0, 0), time.Now().AddDate(-1, 0, 0)
	dir := t.TempDir()
	b := startBroker(t)
	online := strings.Replace(configText, "BROKER", b.url, 1)
	r := startBuilt(t, early, dir, online)
	eventually(t, func() error {
		for _, m := range b.on("fieldpost/gw/telemetry") {
			return wantEstimate(m)
		}
		return errors.New("nothing has come")
	})
	stopped(t, r)

	offline := strings.Replace(configText, "BROKER", "mqtt://127.0.0.1:1", 1)
	r = startBuilt(t, early, dir, offline)
	eventually(t, func() error { return waits(t, r, `"time_estimated":true`) })
	stopped(t, r)
	began := time.Now()
	r = startBuilt(t, now, dir, offline)
	eventually(t, func() error { return waits(t, r, `"time":"`+began.UTC().Format("2006-")) })
	stopped(t, r)

	loaded, err := Load(filepath.Join(dir, "fieldpost.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	queue, err := loaded.OpenQueue(Build{Time: now}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer queue.Close()
	w := httptest.NewRecorder()
	QueueHandler(queue, loaded.Gateway.DataDir, slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/queue/export?lane=telemetry", nil))
	if text := w.Body.String(); text == "" || strings.Contains(text, "1900-") || strings.Contains(text, "estimated") {
		t.Errorf("exported %s", text)
	}
}

func stopped(t *testing.T, r *running) {
	t.Helper()
	if err := r.stop(t); err != nil {
		t.Fatal(err)
	}
}

// waits looks for a text in the oldest message that waits.
func waits(t *testing.T, r *running, text string) error {
	t.Helper()
	var list []QueuedMessage
	_, body := r.call(t, http.MethodGet, "/v1/queue/messages?lane=telemetry&limit=1", "")
	if err := json.Unmarshal([]byte(body), &list); err != nil || len(list) == 0 {
		return fmt.Errorf("nothing waits: %w, %s", err, body)
	}
	if !strings.Contains(list[0].Body, text) {
		return fmt.Errorf("no %s in %s", text, list[0].Body)
	}
	return nil
}

func wantEstimate(message string) error {
	var m struct {
		Created *time.Time
		Body    struct {
			Boot     string
			To       *time.Time `json:"time_to"`
			Readings []struct {
				Time      time.Time
				Estimated bool `json:"time_estimated"`
				Uptime    float64
			}
		}
	}
	if err := json.Unmarshal([]byte(message), &m); err != nil {
		return err
	}
	if m.Created != nil || m.Body.Boot != clock.BootID() || m.Body.To != nil || len(m.Body.Readings) == 0 {
		return fmt.Errorf("message %s", message)
	}
	for _, r := range m.Body.Readings {
		if !r.Estimated || r.Uptime <= 0 || r.Time.Year() == 1900 {
			return fmt.Errorf("reading %+v", r)
		}
	}
	return nil
}
