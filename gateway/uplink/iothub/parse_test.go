package iothub

import (
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

func TestConnectionString(t *testing.T) {
	const key = ";SharedAccessKey=" + testKey
	for _, tc := range []struct{ name, s, host, device, dial, server string }{
		{"plain", "HostName=h.azure-devices.net;DeviceId=d1" + key, "h.azure-devices.net", "d1", "h.azure-devices.net:8883", "h.azure-devices.net"},
		{"port", "HostName=localhost:18883;DeviceId=d1" + key, "localhost", "d1", "localhost:18883", "localhost"},
		{"gateway", "HostName=h;DeviceId=d1" + key + ";GatewayHostName=edge:1", "h", "d1", "edge:1", "edge"},
		{"other order, line feed", key[1:] + ";DeviceId=a=b@c;HostName=h\n", "h", "a=b@c", "h:8883", "h"},
		{"semicolon at the end", "HostName=h;DeviceId=d1" + key + ";", "h", "d1", "h:8883", "h"},
	} {
		id, _, err := parseConnectionString(tc.s, "8883")
		if err != nil || id.host != tc.host || id.device != tc.device || id.dial != tc.dial || id.serverName != tc.server {
			t.Errorf("%s: %+v, %v", tc.name, id, err)
		}
	}
}

func TestConnectionStringFaults(t *testing.T) {
	for s, want := range map[string]string{
		"": "want HostName=", "HostName=h": "DeviceId is missing", "HostName=h;DeviceId=d": "SharedAccessKey is missing",
		"DeviceId=d;SharedAccessKey=" + testKey:                              "HostName is missing",
		"HostName=h;DeviceId=d;SharedAccessKey=c2Vjcm":                       "not base64",
		"HostName=h;DeviceId=d;DeviceId=d;SharedAccessKey=c2Vj":              "DeviceId is there twice",
		"HostName=h;DeviceId=d#;SharedAccessKey=c2Vj":                        "device \"d#\"",
		"HostName=h_;DeviceId=d;SharedAccessKey=c2Vj":                        "host \"h_\"",
		"HostName=h:99999;DeviceId=d;SharedAccessKey=c2Vj":                   "host \"h:99999\"",
		"HostName=h;DeviceId=d;SharedAccessKey=c2Vj;x509=true":               "both SharedAccessKey and x509",
		"HostName=h;DeviceId=d;x509=1":                                       "x509 is not true",
		"HostName=h;DeviceId=d;SharedAccessKey=c2Vj;GatewayHostName=":        "GatewayHostName",
		"HostName=h;SharedAccessKeyName=iothubowner;SharedAccessKey=c2Vj":    "connection string of the service",
		"HostName=h;DeviceId=d;ModuleId=m;SharedAccessKey=c2Vj":              "ModuleId is not supported",
		"HostName=h;DeviceId=d;SharedAccessKey=c2Vj;rest-of-a-broken-c2Vjcm": "nothing else",
	} {
		_, _, err := parseConnectionString(s, "8883")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", s, err, want)
		} else if strings.Contains(err.Error(), "c2Vj") {
			t.Errorf("the error quotes the key: %v", err)
		}
	}
}

func TestValidateNamesEveryFault(t *testing.T) {
	c := Config{SignInConfig: SignInConfig{ConnectionString: config.Secret("x")}, KeepAlive: time.Hour, TokenTTL: time.Second}
	err := c.Validate()
	for _, field := range []string{"connection_string: ", "keep_alive: ", "token_ttl: ", "in_flight: "} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("no word about %s in %v", field, err)
		}
	}
	var fault *gateway.FieldError
	if !errors.As(err, &fault) {
		t.Error("no FieldError")
	}
}

// The tokens were computed with Python's hmac and urllib.
func TestToken(t *testing.T) {
	key, _ := base64.StdEncoding.DecodeString(testKey)
	for device, want := range map[string]string{
		"d1":       "SharedAccessSignature sr=hub.azure-devices.net%2Fdevices%2Fd1&sig=Hx0vFcz8seMnUyFmuKQ6134NFvRK%2Bn9x8yRoFhgYirs%3D&se=1893456000",
		"de=v@1:x": "SharedAccessSignature sr=hub.azure-devices.net%2Fdevices%2Fde%3Dv%401%3Ax&sig=Kug5mI9nntl6TNqUxICouF%2Fd%2FMyjOECn2fbQ2WnRosg%3D&se=1893456000",
	} {
		id := identity{host: "hub.azure-devices.net", device: device}
		if got := sharedKey(key).token(id.resource(), "", time.Unix(1893456000, 0)); got != want {
			t.Errorf("%s:\n got %s\nwant %s", device, got, want)
		}
	}
}

func TestBag(t *testing.T) {
	properties := []property{
		{"$.mid", "store-1-telemetry-42"},
		{"$.cid", "c 1"},
		{"$.ct", "application/json"},
		{"sp ace", "a b"},
		{"empty", ""},
		{"plus", "1+1"},
		{"uni", "grün"},
		{"all", "#&=%/?"},
	}
	const want = "%24.mid=store-1-telemetry-42&%24.cid=c%201&%24.ct=application%2Fjson" +
		"&sp%20ace=a%20b&empty=&plus=1%2B1&uni=gr%C3%BCn&all=%23%26%3D%25%2F%3F"
	got := encodeBag(properties)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	back, err := parseBag(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range properties {
		if back[p.name] != p.value {
			t.Errorf("%s came back as %q, was %q", p.name, back[p.name], p.value)
		}
	}
}

func TestParseBagAsHubsWriteIt(t *testing.T) {
	got, err := parseBag("$.mid=a+b&bare&iothub-ack=none&%24.to=%2Fdevices%2Fx")
	want := map[string]string{"$.mid": "a+b", "bare": "", "iothub-ack": "none", "$.to": "/devices/x"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"a=%", "%zz=1", "a=1&a=2", "$.mid=1&%24.mid=2"} {
		if _, err := parseBag(bad); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%s: error %v, want ErrInvalid", bad, err)
		}
	}
}

func TestSizeLimit(t *testing.T) {
	m := gateway.Message{ID: gateway.MessageID{Store: "s", Lane: "l", Seq: 1}, Kind: "k", ContentType: "text/plain"}
	// "s-l-1", "text/plain", "utf-8", and store=s lane=l seq=1 kind=k
	const properties = 5 + 10 + 5 + 6 + 5 + 4 + 5
	m.Body = make([]byte, MaxMessageBytes-properties)
	if _, err := (labels{}).eventTopic("d", m); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	m.Body = append(m.Body, 0)
	if _, err := (labels{}).eventTopic("d", m); !errors.Is(err, uplink.ErrTooLarge) || !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("over the limit: %v, want ErrTooLarge", err)
	}
}

func TestContentEncoding(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/json": true, "application/senml+json": true, "text/csv": true, "application/json; charset=utf-8": true,
		"application/senml+cbor": false, "application/octet-stream": false, "": false,
	} {
		if isText(contentType) != want {
			t.Errorf("%q: text %v, want %v", contentType, !want, want)
		}
	}
}

func TestExpiry(t *testing.T) {
	for s, want := range map[string]time.Time{
		"": {}, "0": {},
		"2020-07-25T14:14:25.1720000Z":     time.Date(2020, 7, 25, 14, 14, 25, 172e6, time.UTC),
		"2020-07-25T16:14:25.172000+02:00": time.Date(2020, 7, 25, 14, 14, 25, 172e6, time.UTC),
	} {
		if got, err := parseExpiry(s); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
	for _, bad := range []string{"soon", "1595686465", "0001-01-01T00:00:00Z"} {
		if _, err := parseExpiry(bad); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%q: error %v, want ErrInvalid", bad, err)
		}
	}
}

func TestDeviceboundTopic(t *testing.T) {
	for topic, want := range map[string]bool{
		"devices/d1/messages/devicebound/%24.mid=1": true, "devices/d1/messages/deviceBound/": true,
		"devices/d2/messages/devicebound/": false, "$iothub/twin/res/200/": false, "": false,
	} {
		if _, ok := cutDevicebound("d1", topic); ok != want {
			t.Errorf("%s: %v, want %v", topic, ok, want)
		}
	}
}

func FuzzDevicebound(f *testing.F) {
	f.Add("%24.mid=a&%24.exp=0", []byte(`{"device":"d","action":"a","args":{"x":1}}`))
	f.Add("$.mid&%zz=&&=", []byte(`{`))
	f.Add("%24.exp=2020-07-25T14%3A14%3A25.1720000Z", []byte(``))
	f.Fuzz(func(t *testing.T, bag string, body []byte) {
		cmd, err := parseDevicebound(bag, body, time.Now())
		if cmd.ID == "" || cmd.Origin != gateway.OriginC2D {
			t.Errorf("no id or origin: %+v", cmd)
		}
		if err != nil && !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("error %v does not wrap ErrInvalid", err)
		}
		if err == nil && (cmd.Device == "" || cmd.Action == "" || uplink.CheckCommandID(cmd.ID) != nil) {
			t.Errorf("accepted: %+v", cmd)
		}
	})
}

func FuzzConnectionString(f *testing.F) {
	f.Add("HostName=h:1;DeviceId=d;SharedAccessKey=" + testKey + ";GatewayHostName=g")
	f.Add(";;=;")
	f.Fuzz(func(t *testing.T, s string) {
		id, key, err := parseConnectionString(s, "8883")
		if err == nil && (id.host == "" || id.device == "" || len(key) == 0 && !strings.Contains(s, "x509=true") || id.dial == "") {
			t.Errorf("accepted %q as %+v", s, id)
		}
	})
}
