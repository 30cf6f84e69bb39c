package hubsim

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

const apiVersion = "?api-version=2021-04-12"

// follow subscribes to a topic of $iothub at QoS 0.
func (p *peer) follow(filter string) {
	p.t.Helper()
	if token := p.Subscribe(filter, 0, nil); !token.WaitTimeout(patience) || token.Error() != nil {
		p.t.Fatalf("subscribe to %s: %v", filter, token.Error())
	}
}

// say publishes at QoS 0.
func (p *peer) say(topic, body string) {
	p.t.Helper()
	if token := p.Publish(topic, 0, false, body); !token.WaitTimeout(patience) || token.Error() != nil {
		p.t.Fatalf("publish: %v", token.Error())
	}
}

// serve answers every method with what respond says, under the request's id.
func (p *peer) serve(respond func(name, body string) (status, answer string)) {
	p.t.Helper()
	token := p.Subscribe(methodRequests+"#", 0, func(_ paho.Client, m paho.Message) {
		name, rid, _ := strings.Cut(strings.TrimPrefix(m.Topic(), methodRequests), "/?$rid=")
		status, body := respond(name, string(m.Payload()))
		if status != "" {
			p.Publish(methodAnswers+status+"/?$rid="+rid, 0, false, body)
		}
	})
	if !token.WaitTimeout(patience) || token.Error() != nil {
		p.t.Fatalf("subscribe: %v", token.Error())
	}
}

func TestMethod(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", nil)
	p.serve(func(name, body string) (string, string) { return "-3", `{"name":"` + name + `", "got": ` + body + `}` })
	for request, want := range map[string]string{
		`{"methodName":"up","payload":{ "to": [1] }}`:                                                                     `{"status":-3,"payload":{"name":"up","got":{"to":[1]}}}`,
		`{"methodName":"none","responseTimeoutInSeconds":300,"connectTimeoutInSeconds":300}`:                              `{"status":-3,"payload":{"name":"none","got":null}}`,
		`{"methodName":"null","payload":null,"timeoutInSeconds":1}`:                                                       `{"status":-3,"payload":{"name":"null","got":null}}`,
		`{"methodName":"comp*up","payload":"` + strings.Repeat("x", maxMethodBytes/2) + `","responseTimeoutInSeconds":5}`: `{"status":-3,"payload":{"name":"comp*up","got":"` + strings.Repeat("x", maxMethodBytes/2) + `"}}`,
	} {
		if got := strings.TrimSpace(r.must("POST", "/twins/d1/methods"+apiVersion, request)); got != want {
			t.Errorf("%.80s: got %.200s, want %.200s", request, got, want)
		}
	}
}

// Two calls may run at once, and answers find their callers in any order.
func TestMethodsAtOnce(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", nil)
	p.follow(methodRequests + "#")
	got := make(chan string, 2)
	for _, name := range []string{"a", "b"} {
		go func() {
			_, text := r.call("POST", "/twins/d1/methods"+apiVersion, `{"methodName":"`+name+`"}`)
			got <- name + text
		}()
	}
	first, second := p.receive(), p.receive()
	for _, m := range []paho.Message{second, first} {
		name, rid, _ := strings.Cut(strings.TrimPrefix(m.Topic(), methodRequests), "/?$rid=")
		p.say(methodAnswers+"200/?$rid="+rid, `"`+name+`"`)
		if text := await(t, got); strings.TrimSpace(text) != name+`{"status":200,"payload":"`+name+`"}` {
			t.Errorf("got %s for %s", text, name)
		}
	}
}

func TestMethodIsRefused(t *testing.T) {
	r := startRig(t)
	for request, want := range map[string]string{
		`{`:                                 "no call of a method",
		`{"payload":1}`:                     "methodName",
		`{"methodName":"a b"}`:              "methodName",
		`{"methodName":"a+b"}`:              "methodName",
		`{"methodName":"a/b"}`:              "methodName",
		`{"methodName":"a","payload":[1,]}`: "no call of a method",
		`{"methodName":"a","payload":"` + strings.Repeat("x", maxMethodBytes) + `"}`: "131074 bytes",
		`{"methodName":"a","responseTimeoutInSeconds":4}`:                            "want 5 to 300",
		`{"methodName":"a","responseTimeoutInSeconds":301}`:                          "want 5 to 300",
		`{"methodName":"a","connectTimeoutInSeconds":-1}`:                            "want 0 to 300",
	} {
		if status, text := r.call("POST", "/twins/d1/methods"+apiVersion, request); status != 400 || !strings.Contains(text, want) {
			t.Errorf("%.80s: %d %.200s, want 400 and %q", request, status, text, want)
		}
	}
	if status, _ := r.call("POST", "/twins/d1/methods"+apiVersion, `{"methodName":"`+strings.Repeat("x", 200_000)+`"}`); status != 413 {
		t.Errorf("far too large: %d, want 413", status)
	}
	if status, text := r.call("POST", "/twins/d9/methods"+apiVersion, `{"methodName":"a"}`); status != 404 || !strings.Contains(text, "ErrorCode:DeviceNotFound") {
		t.Errorf("unknown device: %d %s", status, text)
	}
	p := r.connect("d1", nil) // connected, and not subscribed
	resp := r.request("POST", "/twins/d1/methods"+apiVersion, `{"methodName":"a"}`)
	defer resp.Body.Close()
	var outer struct{ Message, ExceptionMessage string }
	var inner struct {
		Code     int    `json:"errorCode"`
		Tracking string `json:"trackingId"`
		Message  string
		Info     map[string]string
		Time     time.Time `json:"timestampUtc"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&outer); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(outer.Message), &inner); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 404 || resp.Header.Get("iothub-errorcode") != "DeviceNotOnline" || outer.ExceptionMessage != "" ||
		inner.Code != 404103 || inner.Tracking == "" || inner.Message == "" || inner.Info["timeout"] != "00:00:00" || inner.Time.IsZero() {
		t.Errorf("%d %+v %+v", resp.StatusCode, outer, inner)
	}
	p.serve(func(name, _ string) (string, string) { return "200", name })
	if status, text := r.call("POST", "/twins/d1/methods"+apiVersion, `{"methodName":"no-json"}`); status != 502 || !strings.Contains(text, "BadDeviceResponse") {
		t.Errorf("an answer that is no JSON: %d %s", status, text)
	}
}

// A call with a connect timeout waits for the device, and a session that was
// kept is enough of a subscription.
func TestMethodWaitsForTheDevice(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", nil)
	p.follow(methodRequests + "#")
	p.Disconnect(10)
	eventually(t, "gone", func() bool { c, _ := r.state.connection("d1"); return c == nil })
	got := make(chan string, 1)
	go func() {
		got <- r.must("POST", "/twins/d1/methods"+apiVersion, `{"methodName":"late","connectTimeoutInSeconds":300}`)
	}()
	eventually(t, "the call waits", func() bool {
		r.calls.mu.Lock()
		defer r.calls.mu.Unlock()
		return len(r.calls.open) == 1
	})
	p = r.connect("d1", nil)
	_, rid, _ := strings.Cut(p.receive().Topic(), "$rid=")
	p.say(methodAnswers+"200/?$rid="+rid, "")
	if text := await(t, got); strings.TrimSpace(text) != `{"status":200,"payload":null}` {
		t.Errorf("got %s", text)
	}
}

func TestMethodIsNotAnswered(t *testing.T) {
	r := startRig(t)
	p := r.connect("d1", nil)
	calls := make(chan string, 10)
	p.serve(func(name, _ string) (string, string) { calls <- name; return "200", "1" })
	r.fault(`{"kind":"drop-method","device":"d1"}`)
	r.fault(`{"kind":"drop-method-answer"}`)
	status, text := r.call("POST", "/twins/d1/methods"+apiVersion, `{"methodName":"lost","responseTimeoutInSeconds":5}`)
	if status != 504 || !strings.Contains(text, "504101") || !strings.Contains(text, "00:00:05") || len(calls) != 0 {
		t.Errorf("drop-method: %d %s", status, text)
	}
	if status, _ := r.call("POST", "/twins/d1/methods"+apiVersion, `{"methodName":"done","responseTimeoutInSeconds":5}`); status != 504 || len(calls) != 1 {
		t.Errorf("drop-method-answer: %d after %d calls", status, len(calls))
	}
	p.say(methodAnswers+"200/?$rid=late", "1")
	r.says("nobody waits for")
	for _, topic := range []string{"200/?rid=1", "ok/?$rid=1", "99999999999/?$rid=1", "200/?$rid="} {
		p := r.connect("d2", nil)
		p.say(methodAnswers+topic, "1")
		p.awaitLoss()
	}
}

func FuzzMethodAnswerTopic(f *testing.F) {
	f.Add("200/?$rid=1f")
	f.Add("-1/?a=b&$rid=x&")
	f.Fuzz(func(t *testing.T, s string) {
		if _, rid, err := parseMethodAnswer(s); err == nil && (rid == "" || !strings.Contains(s, "$rid="+rid)) {
			t.Errorf("%q has no request id %q", s, rid)
		}
	})
}

func FuzzMethod(f *testing.F) {
	f.Add([]byte(`{"methodName":"a","payload":{"x": 1},"responseTimeoutInSeconds":5,"connectTimeoutInSeconds":0}`))
	f.Add([]byte(`{"methodName":"a"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := readMethod(body)
		if err != nil {
			return
		}
		if !json.Valid(m.Payload) || len(m.Payload) > maxMethodBytes || seconds(m.ResponseTimeout) < 5*time.Second || seconds(m.ConnectTimeout) > 5*time.Minute {
			t.Errorf("%s is taken for %+v", body, m)
		}
		if topic := m.packet("1").TopicName; strings.Count(topic, "/") != 4 || strings.ContainsAny(topic, "+#") {
			t.Errorf("topic %s", topic)
		}
	})
}
