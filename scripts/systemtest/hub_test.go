package systemtest

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// hub is a hubsim process, which can be killed and started again at the same
// addresses.
type hub struct {
	dir, log string
	process  *process
	info     struct {
		MQTT    string
		HTTPS   string
		CA      string
		Devices []struct {
			ID               string
			ConnectionString string `json:"connection_string"`
		}
		DPS struct {
			Endpoint string
			IDScope  string `json:"id_scope"`
			GroupKey string `json:"group_key"`
		}
		ServiceConnectionString string `json:"service_connection_string"`
	}
	client *http.Client
}

func startHub(t testing.TB, dir string) *hub {
	t.Helper()
	h := &hub{dir: filepath.Join(dir, "hub"), log: filepath.Join(dir, "hubsim.log")}
	h.start(t, "127.0.0.1:0", "127.0.0.1:0")
	pem, err := os.ReadFile(h.info.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	h.client = &http.Client{
		Timeout:   20 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
	}
	return h
}

func (h *hub) start(t testing.TB, mqtt, https string) {
	t.Helper()
	file := filepath.Join(h.dir, "hubsim.json")
	_ = os.Remove(file) // it is written when the hub is ready
	h.process = spawn(t, h.log, program(t, "hubsim"), "--data", h.dir, "--mqtt", mqtt, "--https", https, "--device", "gw")
	eventually(t, 10*time.Second, func() error {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return json.Unmarshal(data, &h.info)
	})
}

// restart starts the hub again after a kill.
func (h *hub) restart(t testing.TB) {
	t.Helper()
	h.start(t, h.info.MQTT, h.info.HTTPS)
}

func (h *hub) device(t testing.TB, id string) string {
	t.Helper()
	for _, d := range h.info.Devices {
		if d.ID == id {
			return d.ConnectionString
		}
	}
	t.Fatalf("hubsim.json has no device %s", id)
	return ""
}

// addDevice makes a device in the running hub.
func (h *hub) addDevice(t testing.TB, id string) {
	t.Helper()
	resp, err := h.request(http.MethodPut, "/devices/"+id+"?api-version=2021-04-12", fmt.Sprintf(`{"deviceId":%q}`, id), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

// connectionString asks the registry for the key of a device.
func (h *hub) connectionString(t testing.TB, id string) string {
	t.Helper()
	body, err := h.get("/devices/" + id + "?api-version=2021-04-12")
	var d struct {
		Authentication struct{ SymmetricKey struct{ PrimaryKey string } }
	}
	if err == nil {
		err = json.Unmarshal([]byte(body), &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ := strings.Cut(h.device(t, "gw"), ";")
	return host + ";DeviceId=" + id + ";SharedAccessKey=" + d.Authentication.SymmetricKey.PrimaryKey
}

func (h *hub) request(method, path, body string, header map[string]string) (*http.Response, error) {
	req, err := http.NewRequest(method, "https://"+h.info.HTTPS+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		why, _ := io.ReadAll(resp.Body)
		return nil, fmt.Errorf("%s %s: %s %s", method, path, resp.Status, why)
	}
	return resp, nil
}

func (h *hub) post(path, body string, header map[string]string) error {
	resp, err := h.request(http.MethodPost, path, body, header)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// get returns the body of an answer.
func (h *hub) get(path string) (string, error) {
	resp, err := h.request(http.MethodGet, path, "", nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// groupKey is the key that the hub's enrolment group derives for a board.
func (h *hub) groupKey(t testing.TB, registration string) string {
	t.Helper()
	secret, err := base64.StdEncoding.DecodeString(h.info.DPS.GroupKey)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(registration))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// httpsPort is where back ends and WebSockets connect.
func (h *hub) httpsPort(t testing.TB) int {
	t.Helper()
	_, port, err := net.SplitHostPort(h.info.HTTPS)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// sendC2D queues a cloud-to-device message.
func (h *hub) sendC2D(device, id, body string) error {
	return h.post("/devices/"+device+"/messages/devicebound?api-version=2021-04-12", body, map[string]string{"iothub-messageid": id})
}

// takeFeedback takes one batch of what became of messages whose senders asked.
func (h *hub) takeFeedback() (string, error) {
	const path = "/messages/servicebound/feedback"
	resp, err := h.request(http.MethodGet, path+"?api-version=2021-04-12", "", nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode == http.StatusNoContent {
		return "", err
	}
	lock := strings.Trim(resp.Header.Get("ETag"), `"`)
	taken, err := h.request(http.MethodDelete, path+"/"+lock+"?api-version=2021-04-12", "", nil)
	if err != nil {
		return "", err
	}
	return string(body), taken.Body.Close()
}

func (h *hub) fault(t testing.TB, kind string, count int) {
	t.Helper()
	if err := h.post("/hubsim/faults", fmt.Sprintf(`{"kind":%q,"count":%d}`, kind, count), nil); err != nil {
		t.Error(err)
	}
}

// event is one message as the hub has received it.
type event struct {
	Offset     int64
	Enqueued   time.Time
	System     map[string]string
	Properties map[string]string
	Body       json.RawMessage
}

// events reads everything that a device has sent.
func (h *hub) events(t testing.TB) []event {
	t.Helper()
	return h.eventsAfter(t, -1)
}

// eventsAfter reads what has come after the event with this offset.
func (h *hub) eventsAfter(t testing.TB, after int64) []event {
	t.Helper()
	var all []event
	for {
		path := "/hubsim/events?limit=5000"
		if after >= 0 {
			path += fmt.Sprintf("&after=%d", after)
		}
		resp, err := h.request(http.MethodGet, path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 4<<20)
		for lines.Scan() {
			var e event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Fatalf("event %s: %v", lines.Bytes(), err)
			}
			all = append(all, e)
			after = e.Offset
			n++
		}
		resp.Body.Close()
		if lines.Err() != nil {
			t.Fatal(lines.Err())
		}
		if n == 0 {
			return all
		}
	}
}
