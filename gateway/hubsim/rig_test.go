package hubsim

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

const patience = 30 * time.Second

// rig is a hub with real sockets and files, and a log that tests can read.
type rig struct {
	*Hub
	t      testing.TB
	dir    string
	log    *logBook
	client *http.Client
}

func startRig(t testing.TB) *rig { return startRigIn(t, t.TempDir(), Options{}) }

func startRigIn(t testing.TB, dir string, o Options) *rig {
	t.Helper()
	r := &rig{t: t, dir: dir, log: &logBook{}}
	o.Data, o.Devices = dir, []string{"d1", "d2"}
	o.Log = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if r.Hub, err = Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	r.client = &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: r.trust()}}
	t.Cleanup(r.client.CloseIdleConnections)
	return r
}

// restart stops the hub and starts it again on the same directory.
func (r *rig) restart() *rig {
	r.t.Helper()
	return r.restartWith(Options{})
}

func (r *rig) restartWith(o Options) *rig {
	r.t.Helper()
	if err := r.Close(); err != nil {
		r.t.Fatal(err)
	}
	o.MQTT, o.HTTPS = r.Info().MQTT, r.Info().HTTPS
	return startRigIn(r.t, r.dir, o)
}

func (r *rig) trust() *tls.Config {
	r.t.Helper()
	pem, err := os.ReadFile(r.Info().CA)
	if err != nil {
		r.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

func (r *rig) key(id string) string {
	i, ok := r.state.identity(id)
	if !ok {
		r.t.Fatalf("no device %s", id)
	}
	return i.Primary
}

// sas signs a token over resource as it stands.
func sas(resource, key, policy string, expires time.Time) string {
	secret, _ := base64.StdEncoding.DecodeString(key)
	se := fmt.Sprint(expires.Unix())
	s := "SharedAccessSignature sr=" + resource + "&sig=" + escape(base64.StdEncoding.EncodeToString(sign(secret, resource+"\n"+se))) + "&se=" + se
	if policy != "" {
		s += "&skn=" + policy
	}
	return s
}

func (r *rig) deviceToken(id string) string {
	return sas("localhost%2Fdevices%2F"+id, r.key(id), "", time.Now().Add(time.Hour))
}

// mqttOptions are those of a device that does all right.
func (r *rig) mqttOptions(id string) *paho.ClientOptions {
	lost := func(paho.Client, error) {}
	return paho.NewClientOptions().AddBroker("ssl://" + r.Info().MQTT).SetTLSConfig(r.trust()).
		SetClientID(id).SetUsername("localhost/" + id + "/?api-version=2021-04-12").SetPassword(r.deviceToken(id)).
		SetProtocolVersion(4).SetCleanSession(false).SetAutoReconnect(false).SetConnectRetry(false).
		SetAutoAckDisabled(true).SetConnectTimeout(patience).SetConnectionLostHandler(lost).SetOrderMatters(true).
		SetWriteTimeout(patience)
}

// peer is a device with a real MQTT client.
type peer struct {
	paho.Client
	t    testing.TB
	id   string
	got  chan paho.Message
	lost chan struct{}
}

func (r *rig) dial(id string, edit func(*paho.ClientOptions)) (*peer, error) {
	r.t.Helper()
	p := &peer{t: r.t, id: id, got: make(chan paho.Message, 1000), lost: make(chan struct{})}
	o := r.mqttOptions(id)
	o.SetConnectionLostHandler(func(paho.Client, error) { close(p.lost) })
	o.SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { p.got <- m })
	if edit != nil {
		edit(o)
	}
	p.Client = paho.NewClient(o)
	token := p.Connect()
	if !token.WaitTimeout(patience) {
		r.t.Fatal("no CONNACK")
	}
	r.t.Cleanup(func() { p.Disconnect(0) })
	return p, token.Error()
}

func (r *rig) connect(id string, edit func(*paho.ClientOptions)) *peer {
	r.t.Helper()
	p, err := r.dial(id, edit)
	if err != nil {
		r.t.Fatalf("connect: %v; log:\n%s", err, r.log)
	}
	return p
}

func (p *peer) topic(bag string) string { return "devices/" + p.id + "/messages/events/" + bag }

// send publishes with QoS 1 and waits for the PUBACK.
func (p *peer) send(bag, body string) {
	p.t.Helper()
	if token := p.Publish(p.topic(bag), 1, false, body); !token.WaitTimeout(patience) || token.Error() != nil {
		p.t.Fatalf("no PUBACK for %s: %v", bag, token.Error())
	}
}

func (p *peer) subscribe() {
	p.t.Helper()
	token := p.Subscribe("devices/"+p.id+"/messages/devicebound/#", 1, nil)
	if !token.WaitTimeout(patience) || token.Error() != nil {
		p.t.Fatalf("subscribe: %v", token.Error())
	}
}

func (p *peer) receive() paho.Message {
	p.t.Helper()
	return await(p.t, p.got)
}

func (p *peer) awaitLoss() {
	p.t.Helper()
	await(p.t, p.lost)
}

func await[T any](t testing.TB, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("nothing came in time")
	}
	return v
}

func eventually(t testing.TB, what string, check func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !check(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// call makes a request from this machine and returns status and body.
func (r *rig) call(method, path, body string, header ...string) (int, string) {
	r.t.Helper()
	resp := r.request(method, path, body, header...)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func (r *rig) request(method, path, body string, header ...string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, "https://"+r.Info().HTTPS+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp
}

// must is call for what must succeed.
func (r *rig) must(method, path, body string, header ...string) string {
	r.t.Helper()
	status, text := r.call(method, path, body, header...)
	if status/100 != 2 {
		r.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	return text
}

func (r *rig) command(device, id, body string, header ...string) {
	r.t.Helper()
	r.must("POST", "/devices/"+device+"/messages/devicebound?api-version=2021-04-12", body, append(header, "iothub-messageid", id)...)
}

// received is an event as callers see it.
type received struct {
	Offset     int64
	Device     string
	Enqueued   time.Time
	System     map[string]string
	Properties map[string]string
	Body       json.RawMessage
	BodyBase64 string
}

func (r *rig) events(query string) (list []received) {
	r.t.Helper()
	lines := bufio.NewScanner(strings.NewReader(r.must("GET", "/hubsim/events?"+query, "")))
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var e received
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			r.t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		list = append(list, e)
	}
	return list
}

func (r *rig) fault(body string) {
	r.t.Helper()
	r.must("POST", "/hubsim/faults", body)
}

// states are the states of the commands of a device, by id.
func (r *rig) states(device string) map[string]string {
	r.t.Helper()
	list, err := r.state.commands(device)
	if err != nil {
		r.t.Fatal(err)
	}
	states := map[string]string{}
	for _, c := range list {
		states[c.ID] = c.State
	}
	return states
}

// logBook keeps what was logged.
type logBook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// says waits until the log has text.
func (r *rig) says(text string) {
	r.t.Helper()
	eventually(r.t, "the log says "+text, func() bool { return strings.Contains(r.log.String(), text) })
}
