package main

import (
	"bytes"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cli runs one command line and returns what it printed.
func cli(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(args, streams{in: strings.NewReader(""), out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

func TestHelpTeaches(t *testing.T) {
	code, out, errs := cli(t)
	if code != exitOK || errs != "" {
		t.Errorf("no arguments: code %d, stderr %q", code, errs)
	}
	for _, want := range []string{"fieldpost check", "fieldpost run", "fieldpost status", "run", "queue", "deadletters", "audit", "devices", "do", "commands", "send", "upload", "uploads", "version"} {
		if !strings.Contains(out, want) {
			t.Errorf("the help does not mention %q:\n%s", want, out)
		}
	}
	for _, verb := range []string{"run", "check", "probe", "status", "metrics", "queue stats", "queue ls", "queue export", "queue verify", "queue purge", "deadletters ls", "deadletters retry", "deadletters delete", "deadletters export", "audit", "devices", "read", "do", "commands ls", "commands show", "commands cancel", "send", "upload", "uploads ls", "uploads cancel", "version"} {
		code, out, _ := cli(t, append(strings.Fields(verb), "--help")...)
		if code != exitOK || !strings.Contains(out, "Usage: fieldpost "+verb) {
			t.Errorf("%s --help: code %d\n%s", verb, code, out)
		}
	}
}

func TestUsageErrorsAreTwo(t *testing.T) {
	for _, args := range [][]string{{"frobnicate"}, {"status", "--nonsense"}, {"do"}, {"do", "pump"}, {"do", "pump", "set", "on"}, {"queue"}} {
		if code, _, errs := cli(t, args...); code != exitUsage || errs == "" {
			t.Errorf("fieldpost %v: code %d, stderr %q, want 2 and a reason", args, code, errs)
		}
	}
}

func TestNoGatewayIs69(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none.sock")
	for _, args := range [][]string{{"status"}, {"metrics"}, {"queue", "stats"}, {"queue", "ls"}, {"devices"}, {"do", "pump", "stop"}} {
		if args[0] == "queue" {
			args = append(args, "--config", socket+".yaml")
		}
		code, out, errs := cli(t, append(args, "--socket", socket)...)
		if code != exitUnavailable || out != "" || !strings.Contains(errs, socket) || !strings.Contains(errs, "systemctl start fieldpost") {
			t.Errorf("fieldpost %v: code %d, stdout %q, stderr %q", args, code, out, errs)
		}
	}
}

// TestAnswersThatAreNoSuccess: the words of the gateway reach the person.
func TestAnswersThatAreNoSuccess(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "api.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInsufficientStorage)
		if r.URL.Path == "/v1/queue" {
			_, _ = w.Write([]byte(`{"error":"the disk is full"}`))
		}
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-served })
	if code, _, errs := cli(t, "queue", "stats", "--socket", socket); code != exitFailed || errs != "the disk is full\n" {
		t.Errorf("code %d, stderr %q", code, errs)
	}
	for _, verb := range []string{"status", "metrics"} {
		if code, out, errs := cli(t, verb, "--socket", socket); code != exitFailed || out != "" || !strings.Contains(errs, "507") {
			t.Errorf("%s without words: code %d, stdout %q, stderr %q", verb, code, out, errs)
		}
	}
}

func TestParseArgs(t *testing.T) {
	got, err := parseArgs([]string{"on=true", "level=1.5", "name=left", `quoted="12"`, "empty=", "expr=a=b", "list=[1]", "null=null"})
	want := map[string]any{
		"on": true, "level": 1.5, "name": "left", "quoted": "12", "empty": "", "expr": "a=b", "list": "[1]", "null": "null",
	}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v (%v)\nwant %v", got, err, want)
	}
	for _, bad := range [][]string{{"on"}, {"=true"}, {"on=1", "on=2"}} {
		if _, err := parseArgs(bad); err == nil {
			t.Errorf("%v passes", bad)
		}
	}
}

func TestSizesAndAgesForPeople(t *testing.T) {
	sizes := map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 512e6: "512.0 MB", 3e12: "3.0 TB"}
	for n, want := range sizes {
		if got := bytesText(n); got != want {
			t.Errorf("%d bytes: %q, want %q", n, got, want)
		}
	}
	ages := map[time.Duration]string{
		40 * time.Millisecond: "40 ms", 59 * time.Second: "59 s", 61 * time.Second: "1 min 1 s",
		25 * time.Hour: "25 h 0 min", 72 * time.Hour: "3 days",
	}
	for d, want := range ages {
		if got := age(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	if got := shorten("a  b\n"+strings.Repeat("ü", 10), 8); got != "a b üüü…" {
		t.Errorf("shorten: %q", got)
	}
}

// TestJournaldLines: the level in front, no time, attributes kept.
func TestJournaldLines(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(newJournalHandler(&out, slog.LevelInfo)).With("device", "air")
	log.Debug("too quiet")
	log.Info("reads")
	log.WithGroup("bus").Warn("slow", "time", "9ms")
	log.Error("gone")
	want := "<6>msg=reads device=air\n<4>msg=slow device=air bus.time=9ms\n<3>msg=gone device=air\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
