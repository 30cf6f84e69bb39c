//go:build wide

package systemtest

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// responses are what a sender of commands has been told, by topic.
type responses struct {
	mu  sync.Mutex
	got map[string][]string
}

func (r *receiver) awaitResponses(t *testing.T) *responses {
	t.Helper()
	all := &responses{got: make(map[string][]string)}
	r.done(t, "responses", r.client.Subscribe("fieldpost/gw/responses/#", 1, func(_ paho.Client, m paho.Message) {
		all.mu.Lock()
		defer all.mu.Unlock()
		all.got[m.Topic()] = append(all.got[m.Topic()], string(m.Payload()))
	}))
	return all
}

// status waits for a response and gives the status in it, and the reason.
func (r *responses) status(t *testing.T, id string) (status, detail string) {
	t.Helper()
	var result struct{ Command, Status, Detail string }
	eventually(t, 30*time.Second, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		told := r.got["fieldpost/gw/responses/"+id]
		if len(told) == 0 {
			return fmt.Errorf("no response to %s; there are %v", id, r.got)
		}
		return json.Unmarshal([]byte(told[len(told)-1]), &result)
	})
	return result.Status, result.Detail
}

// TestMosquittoRequests: commands by topic, with QoS 0 and 1, with responses on topics
// of their own; what is none of them is refused, and what is retained is ignored.
func TestMosquittoRequests(t *testing.T) {
	dir := t.TempDir()
	m := startMosquitto(t, dir)
	r := startReceiver(t, m)
	publish := func(below, body string, qos byte, retained bool) {
		t.Helper()
		r.done(t, "publish", r.client.Publish("fieldpost/gw/commands"+below, qos, retained, body))
	}
	publish("/bench/pulse/retained", `{"ms":5}`, 1, true)
	publish("", `{"id":"retained-2","device":"bench","action":"pulse","args":{"ms":5}}`, 1, true)
	g := prepareGatewayFor(t, dir, m.upstream())
	g.start(t)
	r.awaitPresence(t, "online")
	told := r.awaitResponses(t)

	publish("/bench/pulse/q0", `{"ms":5}`, 0, false)
	publish("/bench/pulse/q1", `{"ms":5}`, 1, false)
	publish("/bench/pulse/q1", `{"ms":5}`, 1, false) // again
	publish("/bench/relay", `{"on":true}`, 1, false)
	publish("/bench/pulse/a%2Fb", `{"ms":5}`, 1, false)
	publish("", `{"id":"own","device":"bench","action":"pulse","args":{"ms":5},"reply_to":"fieldpost/gw/responses/me/17"}`, 1, false)
	for id, want := range map[string]string{"q0": "done", "q1": "done", "a%2Fb": "done", "me/17": "done"} {
		if status, detail := told.status(t, id); status != want {
			t.Errorf("%s: %s, %s", id, status, detail)
		}
	}
	publish("/bench/pulse/n1", "on", 1, false)
	publish("/bench/pulse/n2", `{"ms":`+strings.Repeat(" ", 70_000)+`5}`, 1, false)
	publish("/bench/pulse/n3", `{"ms":501}`, 1, false)
	publish("/nobody/pulse/n4", "", 0, false)
	for id, want := range map[string]string{"n1": "args is not a JSON object", "n2": "at most 65536", "n3": "501 is not allowed", "n4": "unknown device"} {
		if status, detail := told.status(t, id); status != "denied" || !strings.Contains(detail, want) {
			t.Errorf("%s: %s, %s", id, status, detail)
		}
	}
	publish("", `{"id":"evil","device":"bench","action":"pulse","args":{"ms":5},"reply_to":"fieldpost/gw/commands"}`, 1, false)
	if status, detail := told.status(t, "evil"); status != "denied" || !strings.Contains(detail, "begins with fieldpost/gw/responses/") {
		t.Errorf("evil: %s, %s", status, detail)
	}
	times := actuations(t, dir)
	for id, n := range map[string]int{"q0": 1, "q1": 1, "a/b": 1, "own": 1, "evil": 0, "n1": 0, "retained": 0, "retained-2": 0} {
		if times[id] != n {
			t.Errorf("%s was carried out %d times, want %d", id, times[id], n)
		}
	}
	log, err := exec.Command("grep", "-c", "retained commands are ignored", g.log).Output()
	if strings.TrimSpace(string(log)) != "1" {
		t.Errorf("the log tells of retained commands %s times, %v", log, err)
	}
	if letters := g.tool(t, 0, "deadletters", "ls"); strings.Count(letters, "fieldpost/gw/commands/bench/pulse/n") != 2 {
		t.Errorf("dead letters:\n%s", letters)
	}
}

// TestMosquittoLateResponse: a sender gets the response although the gateway was
// killed in between.
func TestMosquittoLateResponse(t *testing.T) {
	dir := t.TempDir()
	m := startMosquitto(t, dir)
	r := startReceiver(t, m)
	g := prepareGatewayFor(t, dir, m.upstream())
	g.start(t)
	r.awaitPresence(t, "online")
	told := r.awaitResponses(t)
	r.done(t, "publish", r.client.Publish("fieldpost/gw/commands/bench/pulse/long", 1, false, `{"ms":500}`))
	eventually(t, 30*time.Second, func() error {
		if actuations(t, dir)["long"] == 0 {
			return fmt.Errorf("not begun")
		}
		return nil
	})
	g.process.kill()
	g.start(t)
	if status, detail := told.status(t, "long"); status != "unknown-outcome" && status != "done" {
		t.Errorf("%s, %s", status, detail)
	}
}
