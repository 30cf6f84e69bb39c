package systemtest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestCommandsOfAnOutage: all that the hub keeps for a device that is away, 50
// messages, is carried out in order once the gateway is back, each once, and
// each is answered; one that ended meanwhile is not carried out.
func TestCommandsOfAnOutage(t *testing.T) {
	const deepest = 50
	dir := t.TempDir()
	h := startHub(t, dir)
	g := prepareGateway(t, dir, h)
	var want []string
	for i := range deepest {
		id := "c" + strconv.Itoa(i)
		body := fmt.Sprintf(`{"device":"bench","action":"pulse","args":{"ms":%d}}`, 1+i)
		header := map[string]string{"iothub-messageid": id, "iothub-ack": "full"}
		if err := h.post("/devices/gw/messages/devicebound?api-version=2021-04-12", body, header); err != nil {
			t.Fatal(err)
		}
		want = append(want, id)
	}
	if _, err := h.request(http.MethodPost, "/devices/gw/messages/devicebound?api-version=2021-04-12", `{}`, nil); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("message %d: %v, want status 403", deepest+1, err)
	}
	g.start(t)

	var got []string
	eventually(t, 2*time.Minute, func() error {
		got = nil
		for _, e := range h.events(t) {
			if e.Properties["kind"] == "result" && strings.Contains(string(e.Body), `"done"`) {
				got = append(got, e.System["correlation-id"])
			}
		}
		if len(got) < deepest {
			return fmt.Errorf("%d results, want %d", len(got), deepest)
		}
		return nil
	})
	if !slices.Equal(got, want) {
		t.Errorf("results of %v, want them in the order of the commands, once each", got)
	}
	told := 0
	eventually(t, time.Minute, func() error {
		text, err := h.takeFeedback()
		if told += strings.Count(text, `"Success"`); told < deepest {
			return fmt.Errorf("%d senders were told of the delivery, want %d: %w", told, deepest, err)
		}
		return nil
	})
}
