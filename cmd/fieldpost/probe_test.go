package main

import (
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/fieldpost/fieldpost/drivers/probe"
)

// serveAPI answers on a socket as a gateway would, with what is fixed for a path.
func serveAPI(t *testing.T, answers map[string]string) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "api.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(answers[r.URL.Path]))
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-served })
	return socket
}

// TestProbeLeavesAloneWhatTheGatewayHas: a port of a device is not listened to.
func TestProbeLeavesAloneWhatTheGatewayHas(t *testing.T) {
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close(); _ = near.Close() })
	args := []string{"probe", "--json", "--listen", "20ms", "--port", near.Name()}
	for by, socket := range map[string]string{
		"device gps": serveAPI(t, map[string]string{"/v1/claims": `[{"by":"device gps","device":"` + near.Name() + `","address":-1}]`}),
		"":           filepath.Join(t.TempDir(), "none.sock"),
	} {
		code, out, errs := cli(t, append(args, "--socket", socket)...)
		var r probe.Report
		if err := json.Unmarshal([]byte(out), &r); code != exitOK || err != nil {
			t.Fatalf("code %d (%v)\n%s%s", code, err, out, errs)
		}
		port := r.Serial[len(r.Serial)-1]
		if port.Port != near.Name() || port.UsedBy != by || (port.Heard == nil) != (by != "") || port.Problem != "" {
			t.Errorf("by %q: %+v", by, port)
		}
	}
}

func TestProbeForPeople(t *testing.T) {
	code, out, errs := cli(t, "probe", "--socket", filepath.Join(t.TempDir(), "none.sock"), "--bus", "i2c-999")
	if code != exitOK || errs != "" || !strings.Contains(out, "There is no bus i2c-999") {
		t.Errorf("code %d\n%s%s", code, out, errs)
	}
}
