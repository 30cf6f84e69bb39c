//go:build wide

package systemtest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"
)

// desire changes the desired properties of the gateway and returns their version.
func (h *hub) desire(t *testing.T, desired map[string]any) int64 {
	t.Helper()
	body, err := json.Marshal(map[string]any{"properties": map[string]any{"desired": desired}})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := h.request(http.MethodPatch, "/twins/gw?api-version=2021-04-12", string(body), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var twin struct {
		Properties struct {
			Desired struct {
				Version int64 `json:"$version"`
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&twin); err != nil {
		t.Fatal(err)
	}
	return twin.Properties.Desired.Version
}

// awaitSettings waits for what the gateway reports about a version.
func (h *hub) awaitSettings(t *testing.T, version int64, status string) {
	t.Helper()
	eventually(t, time.Minute, func() error {
		body, err := h.get("/twins/gw?api-version=2021-04-12")
		if err != nil {
			return err
		}
		var twin struct {
			Properties struct {
				Reported struct {
					Settings struct {
						Version int64
						Status  string
						Errors  []string
					}
				}
			}
		}
		if err := json.Unmarshal([]byte(body), &twin); err != nil {
			return err
		}
		if got := twin.Properties.Reported.Settings; got.Version != version || got.Status != status {
			return fmt.Errorf("the gateway reports %+v, want %s of version %d", got, status, version)
		}
		return nil
	})
}

// TestKillsWhileCAsAreReplaced: the hub sends CAs, right and wrong ones, and the
// gateway is killed at any moment of that. It is always back, and says the truth.
func TestKillsWhileCAsAreReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := startHub(t, dir)
	g := newGateway(t, dir, h)
	wrongFile, _, _ := certificates(t, t.TempDir())
	right, wrong := readText(t, h.info.CA), readText(t, wrongFile)
	rounds := []struct {
		ca     any
		status string
	}{
		{map[string]any{"1": wrong, "2": nil}, "rolled-back"},
		{map[string]any{"1": wrong, "2": right}, "applied"},
		{map[string]any{"1": wrong, "2": nil}, "rolled-back"},
		{nil, "applied"},
	}
	for i := range 3 * len(rounds) {
		round := rounds[i%len(rounds)]
		h.desire(t, map[string]any{"settings": map[string]any{"ca": round.ca}})
		moment := rand.N(4 * time.Second) // a session made anew ends after 2 s, another attempt follows within 2 s
		t.Logf("round %d: killed after %v", i, moment)
		time.Sleep(moment)
		g.process.kill()
		g.start(t)
		h.awaitSettings(t, h.desire(t, map[string]any{"round": i}), round.status)
	}
	eventually(t, time.Minute, func() error {
		s, err := g.status()
		if err == nil && (!s.Upstream.Connected || len(s.Conditions) > 0) {
			err = fmt.Errorf("connected %v, conditions %v", s.Upstream.Connected, s.Conditions)
		}
		return err
	})
	if code := g.process.terminate(t, 20*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
