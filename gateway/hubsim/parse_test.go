package hubsim

import (
	"strings"
	"testing"
	"time"
)

func TestUserNames(t *testing.T) {
	for s, want := range map[string]login{
		"localhost/d1/?api-version=2021-04-12": {host: "localhost", device: "d1", apiVersion: "2021-04-12"},
		"localhost/d1/?api-version=2021-04-12&DeviceClientType=azure-iot-device%2F1.18.4%20(node%20v20.20.2%3B%20x64)": {host: "localhost", device: "d1", apiVersion: "2021-04-12"},
		"h:8883/d1/?model-id=dtmi:com:x;1&api-version=1":                                                               {host: "h", device: "d1", apiVersion: "1"},
		"h/d1/api-version=2016-11-14&DeviceClientType=x":                                                               {host: "h", device: "d1", apiVersion: "2016-11-14"},
		"h/d1":                   {host: "h", device: "d1"},
		"h/d1/":                  {host: "h", device: "d1"},
		"h/d1/m1":                {host: "h", device: "d1/m1"},
		"h/d1/m1/?api-version=1": {host: "h", device: "d1/m1", apiVersion: "1"},
		"0ne1/registrations/r-1/api-version=2019-03-31&ClientVersion=x": {scope: "0ne1", registration: "r-1", apiVersion: "2019-03-31"},
	} {
		if got, err := parseUserName(s); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", s, got, err, want)
		}
	}
	for s, want := range map[string]string{
		"": "HOST/DEVICE", "localhost": "HOST/DEVICE", "/d1": "HOST/DEVICE", "h/": "device id", "h/a b": "device id",
		"h/d1/m 1/?api-version=1": "module", "h/d1//?api-version=1": "module",
		"0ne/registrations/": "registration id", "0ne/registrations/R/api-version=1": "lower-case", "0ne/registrations/r": "api-version",
	} {
		if _, err := parseUserName(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", s, err, want)
		}
	}
}

func TestTokens(t *testing.T) {
	key := newKey()
	good := sas("localhost%2fdevices%2Fd1", key, "", time.Unix(2_000_000_000, 0))
	got, err := parseToken(good)
	if err != nil || got.host != "localhost" || got.path != "devices/d1" || got.expires.Unix() != 2_000_000_000 {
		t.Errorf("got %+v, %v", got, err)
	}
	if !got.signedBy("", newKey(), key) || got.signedBy(newKey()) || got.signedBy("") {
		t.Error("the signature is judged wrongly")
	}
	fields := strings.Split(strings.TrimPrefix(good, "SharedAccessSignature "), "&")
	turned := "SharedAccessSignature " + fields[2] + "&" + fields[1] + "&" + fields[0]
	if got, err := parseToken(turned); err != nil || !got.signedBy(key) {
		t.Errorf("fields in another order: %v", err)
	}
	for path, want := range map[string]bool{"devices/d1": true, "devices/d1/files": true, "devices/d12": false, "devices": false, "": false} {
		if got.covers(path) != want {
			t.Errorf("covers %s: %v, want %v", path, !want, want)
		}
	}
	for bad, want := range map[string]string{
		"":                  "begin",
		"sr=a&sig=b&se=1":   "begin",
		good + "&x=1":       "field",
		good + "&se=1":      "twice",
		good + "&skn=":      "empty",
		good[:len(good)-10]: "empty",
		strings.Replace(good, "se=2000000000", "se=soon", 1):            "seconds",
		strings.Replace(good, "se=2000000000", "se=-1", 1):              "seconds",
		strings.Replace(good, "sr=localhost", "sr=%zz", 1):              "sr",
		"SharedAccessSignature sr=a&sig=%25&se=1":                       "sig",
		"SharedAccessSignature sr=a&sig=YQ%3D%3D&se=99999999999999999":  "seconds",
		"SharedAccessSignature sr=a&sig=YQ%3D%3D&se=2000000000&skn=%zz": "skn",
	} {
		if _, err := parseToken(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", bad, err, want)
		}
	}
}

func FuzzBag(f *testing.F) {
	f.Add("%24.mid=store-1-telemetry-42&%24.cid=c%201&plain=v&sp%20ace=a%20b&empty=&plus=1%2B1&uni=gr%C3%BCn&null")
	f.Add("a=1&a=2")
	f.Add("%zz=&&=+#")
	f.Fuzz(func(t *testing.T, s string) {
		bag, err := parseBag(s)
		if err != nil {
			return
		}
		again, err := parseBag(encodeBag(bag))
		if err != nil || len(again) != len(bag) {
			t.Fatalf("%q became %q: %v", s, encodeBag(bag), err)
		}
		for i := range bag {
			if bag[i] != again[i] {
				t.Errorf("%q became %q", bag[i], again[i])
			}
		}
	})
}

func FuzzToken(f *testing.F) {
	const (
		key    = "c2VjcmV0IGtleSBvZiAzMiBieXRlcyBmb3IgdGVzdHM="
		signed = "localhost%2fdevices%2fd1\n2000000000"
	)
	f.Add(sas("localhost%2fdevices%2fd1", key, "p", time.Unix(2_000_000_000, 0)))
	f.Add("SharedAccessSignature sr=&sig=&se=")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseToken(s)
		if err == nil && (len(got.signature) == 0 || got.signed == "" || got.expires.Unix() < 0) {
			t.Errorf("%q is taken for %+v", s, got)
		}
		if err == nil && got.signedBy(key) && got.signed != signed {
			t.Errorf("%q: a signature for something else", s)
		}
	})
}

func FuzzUserName(f *testing.F) {
	f.Add("localhost:1/d1/?api-version=2021-04-12&x=%20")
	f.Add("0ne/registrations/r/api-version=1")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseUserName(s)
		if err == nil && (got.registration == "") == (got.device == "") {
			t.Errorf("%q is taken for %+v", s, got)
		}
		if err == nil && got.device != "" && !strings.Contains(s, "/"+got.device) {
			t.Errorf("%q has no device %q", s, got.device)
		}
	})
}

// What a line says of a message is what the message was.
func FuzzEventLine(f *testing.F) {
	f.Add("d1", "application/json", "a", "b", []byte(" {\"x\":\n1}"))
	f.Add("d\u2028", "text/plain", "\x00", "\"\\", []byte("\r\n"))
	f.Add("", "application/json", "", "", []byte{'"', 0xff, '"'})
	f.Fuzz(func(t *testing.T, device, contentType, name, content string, body []byte) {
		e := &event{device: device, system: []property{{"content-type", contentType}}, properties: []property{{name, content}}, body: body}
		text := e.appendLine(nil, 7)
		if n := strings.Count(string(text), "\n"); n != 1 || strings.Contains(string(text), "\r") {
			t.Fatalf("%q is not one line", text)
		}
		l, err := parseLine(text)
		if err != nil || l.Offset != 7 {
			t.Fatalf("%q: %v", text, err)
		}
		valid := strings.ToValidUTF8
		if l.Device != valid(device, "\ufffd") && len(device) == len(valid(device, "")) {
			t.Errorf("device %q became %q", device, l.Device)
		}
		if strings.HasPrefix(contentType, "text/") && string(body) == valid(string(body), "") && string(l.payload()) != string(body) {
			t.Errorf("body %q became %q", body, l.payload())
		}
	})
}
