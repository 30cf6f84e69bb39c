package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestSlowDeviceHoldsUpNoOther: a device has more commands than may wait, so that some
// are left unacknowledged with the broker; one for another device, which came last, is
// carried out meanwhile.
func TestSlowDeviceHoldsUpNoOther(t *testing.T) {
	b := startBroker(t)
	text := strings.Replace(configText, "BROKER", b.url, 1) + "  - {id: other, driver: sim, every: 1h}\ncommands: {max_waiting: 16}\n"
	r := startServiceWith(t, t.TempDir(), text)
	r.awaitConnected(t)
	const slow = 30 // 8 may wait
	send := func(id, device string, ms int) {
		body := fmt.Sprintf(`{"id":%q,"device":%q,"action":"pulse","args":{"ms":%d}}`, id, device, ms)
		if err := b.server.Publish("fieldpost/gw/commands", []byte(body), false, 1); err != nil {
			t.Fatal(err)
		}
	}
	for i := range slow {
		send(fmt.Sprint("slow", i), "bench", 500)
	}
	send("quick", "other", 1)
	eventually(t, func() error {
		if !slices.ContainsFunc(b.on("fieldpost/gw/results"), func(m string) bool { return strings.Contains(m, `"quick"`) }) {
			return fmt.Errorf("no result of the other device among %d", len(b.on("fieldpost/gw/results")))
		}
		return nil
	})
	_, body := r.call(t, http.MethodGet, "/v1/commands?limit=100&device=bench", "")
	var list []CommandRecord
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatal(err)
	}
	ended := slices.DeleteFunc(slices.Clone(list), func(c CommandRecord) bool { return c.Status == statusReceived || c.Status == statusStarted })
	if len(list) == slow || len(ended) == slow {
		t.Errorf("of %d commands for the slow device %d are on record and %d have ended; want some that are left with the broker", slow, len(list), len(ended))
	}
	eventually(t, func() error { // the slow device's commands may still be on their way to its journal
		if _, body := r.call(t, http.MethodGet, "/v1/status", ""); !strings.Contains(body, `"command-backlog"`) {
			return errors.New("no condition says that commands are left with the broker")
		}
		return nil
	})
}
