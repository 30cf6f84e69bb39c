//go:build wide

package systemtest

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// receiver is a back end at a broker: it gets what the gateway gw publishes, in
// a session that the broker keeps while it is away.
type receiver struct {
	client     paho.Client
	subscribed chan struct{}

	mu       sync.Mutex
	presence []string // payloads of the status topic
	stored   [][]byte // all other payloads, as they came
	got      []envelope
}

// envelope is a message as it comes over plain MQTT.
type envelope struct {
	ID, Store, Lane, Kind, Correlation string
	Seq                                uint64
	Body                               json.RawMessage
	// again is set if the broker says that it sends this for the second time.
	again bool
}

// startReceiver subscribes before it returns. Edits change the options.
func startReceiver(t *testing.T, m *mosquitto, edits ...func(*paho.ClientOptions)) *receiver {
	t.Helper()
	r := &receiver{subscribed: make(chan struct{}, 1)}
	opts := paho.NewClientOptions().AddBroker("tcp://" + m.address).SetClientID("receiver").SetCleanSession(false).
		SetProtocolVersion(4).SetConnectRetry(true).SetConnectRetryInterval(50 * time.Millisecond).
		SetMaxReconnectInterval(200 * time.Millisecond).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { r.take(t, m) }).
		SetOnConnectHandler(func(c paho.Client) { r.subscribe(t, c) })
	for _, edit := range edits {
		edit(opts)
	}
	r.client = paho.NewClient(opts)
	t.Cleanup(func() { r.client.Disconnect(100) })
	r.done(t, "connect", r.client.Connect())
	select {
	case <-r.subscribed:
	case <-time.After(30 * time.Second):
		t.Fatal("receiver: no answer to its subscription")
	}
	return r
}

// subscribe runs with each connection: the broker may have forgotten.
func (r *receiver) subscribe(t *testing.T, c paho.Client) {
	const filter = "fieldpost/#"
	token := c.Subscribe(filter, 1, nil).(*paho.SubscribeToken)
	if !token.WaitTimeout(30*time.Second) || token.Error() != nil {
		return // the connection is lost, and there will be another one
	}
	if granted := token.Result()[filter]; granted != 1 {
		t.Errorf("receiver: subscription granted with QoS %d", granted)
	}
	select {
	case r.subscribed <- struct{}{}:
	default: // nobody waits
	}
}

func (r *receiver) done(t *testing.T, what string, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(30*time.Second) || token.Error() != nil {
		t.Fatalf("receiver, %s: %v", what, token.Error())
	}
}

func (r *receiver) take(t *testing.T, m paho.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case strings.HasSuffix(m.Topic(), "/status"):
		r.presence = append(r.presence, string(m.Payload()))
	case strings.Contains(m.Topic()+"/", "/commands/"): // its own
	case strings.Contains(m.Topic(), "/responses/"): // the body of a result, without an envelope
	default:
		e := envelope{again: m.Duplicate()}
		if err := json.Unmarshal(m.Payload(), &e); err != nil || e.ID == "" {
			t.Errorf("%s: %.200s: %v", m.Topic(), m.Payload(), err)
		}
		r.got = append(r.got, e)
		r.stored = append(r.stored, m.Payload())
	}
}

// command sends a command to the gateway, with QoS 1.
func (r *receiver) command(t *testing.T, id, action, args string) {
	t.Helper()
	body := fmt.Sprintf(`{"id":%q,"device":"bench","action":%q,"args":%s}`, id, action, args)
	r.done(t, "command "+id, r.client.Publish("fieldpost/gw/commands", 1, false, body))
}

// all is everything that came, repeats included.
func (r *receiver) all() []envelope {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// awaitPresence waits until the status topic has this for its last word.
func (r *receiver) awaitPresence(t *testing.T, want string) {
	t.Helper()
	eventually(t, time.Minute, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if n := len(r.presence); n == 0 || r.presence[n-1] != want {
			return fmt.Errorf("presence %q, want %s in the end", r.presence, want)
		}
		return nil
	})
}

// forgetPresence makes awaitPresence wait for something new.
func (r *receiver) forgetPresence() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.presence = nil
}

// awaitMessages waits until all of these ids have come.
func (r *receiver) awaitMessages(t *testing.T, ids []string) {
	t.Helper()
	eventually(t, 2*time.Minute, func() error {
		missing := make(map[string]bool)
		for _, id := range ids {
			missing[id] = true
		}
		for _, e := range r.all() {
			delete(missing, e.ID)
		}
		if len(missing) > 0 {
			return fmt.Errorf("%d of %d messages have not come", len(missing), len(ids))
		}
		return nil
	})
}

// awaitResults waits until n commands are answered and returns the status of
// each. Two answers that differ fail the test.
func (r *receiver) awaitResults(t *testing.T, n int) map[string]string {
	t.Helper()
	var status map[string]string
	eventually(t, 2*time.Minute, func() error {
		status = make(map[string]string)
		for _, e := range r.all() {
			if e.Kind != "result" {
				continue
			}
			var result struct{ Command, Status string }
			if err := json.Unmarshal(e.Body, &result); err != nil {
				t.Fatalf("result %s: %v", e.Body, err)
			}
			if old, twice := status[result.Command]; twice && old != result.Status {
				t.Fatalf("%s ended as %s and as %s", result.Command, old, result.Status)
			}
			status[result.Command] = result.Status
		}
		if len(status) < n {
			return fmt.Errorf("%d of %d commands are answered", len(status), n)
		}
		return nil
	})
	return status
}

// store writes all that came into a file, for the audit.
func (r *receiver) store(t *testing.T, file string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var text []byte
	for _, payload := range r.stored {
		text = append(append(text, payload...), '\n')
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
