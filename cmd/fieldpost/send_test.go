package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/drivers/ingest"
)

// startIngest runs the socket that readings are handed in at.
func startIngest(t *testing.T) (socket string, sink *drivertest.Sink) {
	t.Helper()
	socket, sink = filepath.Join(t.TempDir(), "ingest.sock"), &drivertest.Sink{}
	dev, err := ingest.New(ingest.Config{Socket: socket, Mode: "0600", MaxLine: 1024, MaxClients: 4})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- dev.Run(ctx, sink) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	deadline := time.Now().Add(time.Minute)
	for {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
			return socket, sink
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}

// send runs `fieldpost send` with lines at its standard input.
func send(in io.Reader, args ...string) (code int, out, errs string) {
	var stdout, stderr bytes.Buffer
	code = run(append([]string{"send"}, args...), streams{in: in, out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

func TestSendArguments(t *testing.T) {
	socket, sink := startIngest(t)
	code, out, errs := send(strings.NewReader("not read"), "--ingest", socket, "--device", "tank", "--unit", "m",
		"level=3.2", "full=true", `note="12"`, "deep=-0.5", "text=half full")
	if code != exitOK || out != "test-telemetry-1\n" || errs != "" {
		t.Fatalf("code %d, stdout %q, stderr %q", code, out, errs)
	}
	var got []string
	for _, r := range sink.Batches()[0] {
		got = append(got, fmt.Sprintf("%s.%s=%v %s", r.Device, r.Name, r.Value, r.Unit))
	}
	want := "tank.level=3.2 m, tank.full=true , tank.note=12 , tank.deep=-0.5 m, tank.text=half full "
	if strings.Join(got, ", ") != want {
		t.Errorf("handed in %s\nwant %s", strings.Join(got, ", "), want)
	}
	t.Setenv("FIELDPOST_INGEST", socket)
	if code, out, errs := send(nil, "level=1"); code != exitOK || out != "test-telemetry-2\n" {
		t.Errorf("with FIELDPOST_INGEST: code %d, stdout %q, stderr %q", code, out, errs)
	}
}

func TestSendStandardInput(t *testing.T) {
	socket, sink := startIngest(t)
	for _, args := range [][]string{{}, {"-"}} {
		before := len(sink.Batches())
		in := `{"name":"a","value":1}` + "\n" + `{"name":"b"}` + "\n" + strings.Repeat("x", 5000) + "\n" + `{"name":"c","value":2}` // and no newline
		code, out, errs := send(strings.NewReader(in), append([]string{"--ingest", socket}, args...)...)
		if code != exitFailed || strings.Count(out, "test-telemetry-") != 2 || len(sink.Batches()) != before+2 {
			t.Errorf("%v: code %d, stdout %q", args, code, out)
		}
		for _, want := range []string{`line 2: "value" is missing`, "line 3: it is longer than the 1024 bytes", "2 of 4 lines refused"} {
			if !strings.Contains(errs, want) {
				t.Errorf("%v: want %q in stderr %q", args, want, errs)
			}
		}
	}
}

func TestSendJSON(t *testing.T) {
	socket, _ := startIngest(t)
	code, out, errs := send(strings.NewReader("{\"name\":\"a\",\"value\":1}\nnonsense\n"), "--json", "--ingest", socket)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != exitFailed || len(lines) != 2 || lines[0] != `{"id":"test-telemetry-1"}` || !strings.Contains(errs, "1 of 2 lines refused") {
		t.Fatalf("code %d, stdout %q, stderr %q", code, out, errs)
	}
	var answer struct{ Error string }
	if err := json.Unmarshal([]byte(lines[1]), &answer); err != nil || !strings.HasPrefix(answer.Error, "line 2: ") {
		t.Errorf("%q: %v", lines[1], err)
	}
}

// TestSendManyLines: the answers are read while the lines are written.
func TestSendManyLines(t *testing.T) {
	socket, sink := startIngest(t)
	const lines = 30_000
	code, out, errs := send(strings.NewReader(strings.Repeat(`{"name":"a","value":1}`+"\n", lines)), "--ingest", socket)
	if code != exitOK || strings.Count(out, "\n") != lines || len(sink.Batches()) != lines {
		t.Errorf("code %d, %d ids, %d messages, stderr %q", code, strings.Count(out, "\n"), len(sink.Batches()), errs)
	}
}

// TestSendStreams: each line is answered at once, not when the input ends.
func TestSendStreams(t *testing.T) {
	socket, _ := startIngest(t)
	in, feed := io.Pipe()
	answers, out := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run([]string{"send", "--ingest", socket, "-"}, streams{in: in, out: out, err: io.Discard})
	}()
	ids := bufio.NewScanner(answers)
	for i := range 3 {
		if _, err := fmt.Fprintf(feed, "{\"name\":\"a\",\"value\":%d}\n", i); err != nil {
			t.Fatal(err)
		}
		if !ids.Scan() || ids.Text() != fmt.Sprintf("test-telemetry-%d", i+1) {
			t.Fatalf("answer %q, %v", ids.Text(), ids.Err())
		}
	}
	if err := feed.CloseWithError(errors.New("the disk is broken")); err != nil {
		t.Fatal(err)
	}
	if code := <-ended; code != exitFailed {
		t.Errorf("code %d after an input that failed, want 1", code)
	}
}

// TestSendWithoutAnswer: the gateway takes two lines and dies.
func TestSendWithoutAnswer(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "ingest.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, err = bufio.NewReader(conn).ReadString('\n')
			_, err2 := conn.Write([]byte("{\"id\":\"s-telemetry-1\"}\n{\"error\":\"line 2: full\"}\nwhat?\n"))
			err = errors.Join(err, err2, conn.Close())
		}
		served <- errors.Join(err, l.Close())
	}()
	in, feed := io.Pipe() // the input does not end
	defer feed.Close()
	go func() { _, _ = feed.Write([]byte(strings.Repeat("{}\n", 5))) }()
	code, out, errs := send(in, "--ingest", socket)
	if code != exitFailed || out != "s-telemetry-1\n" || !strings.Contains(errs, "line 2: full\n") || !strings.Contains(errs, "cannot be read") ||
		!strings.Contains(errs, "after 3 of 5 answers, 2 of them refusals; send again") {
		t.Errorf("code %d, stdout %q, stderr %q", code, out, errs)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestSendToNobody(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none.sock")
	code, out, errs := send(nil, "--ingest", socket, "level=1")
	if code != exitUnavailable || out != "" || !strings.Contains(errs, "no gateway at "+socket) || !strings.Contains(errs, "driver: ingest") {
		t.Errorf("code %d, stdout %q, stderr %q", code, out, errs)
	}
}

func TestSendUsage(t *testing.T) {
	for _, args := range [][]string{{"level"}, {"=1"}, {"level=1", "level=2"}, {"level=1", "-"}, {"--unit", "m"}, {"--device", "tank", "-"}} {
		if code, _, errs := send(strings.NewReader(""), args...); code != exitUsage || errs == "" {
			t.Errorf("send %v: code %d, stderr %q, want 2 and a reason", args, code, errs)
		}
	}
	terminal, err := os.Open("/dev/null") // a character device too
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	if code, _, errs := send(terminal); code != exitUsage || !strings.Contains(errs, "name=value") {
		t.Errorf("nothing to send: code %d, stderr %q", code, errs)
	}
	_, help, _ := cli(t, "send", "--help")
	for _, want := range []string{"fieldpost send level=3.2", "my-program | fieldpost send -", `"readings":[`} {
		if !strings.Contains(help, want) {
			t.Errorf("the help lacks %q:\n%s", want, help)
		}
	}
}
