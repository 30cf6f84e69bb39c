package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/service"
	"github.com/fieldpost/fieldpost/storeforward"
)

// board is a gateway that does not run: a config, and a real queue on disk.
type board struct {
	dir    string
	config string
}

func newBoard(t *testing.T) *board {
	t.Helper()
	b := &board{dir: t.TempDir()}
	b.config = filepath.Join(b.dir, "fieldpost.yaml")
	text := fmt.Sprintf(`gateway: {id: gw, data_dir: %[1]s/data, socket: %[1]s/api.sock}
upstreams:
  - {type: mqtt, url: "mqtt://127.0.0.1:1"}
queue: {max_bytes: 64MB, min_free: 64MB, commit: {max_age: 0s}}
devices:
  - {id: bench, driver: sim}
`, b.dir)
	if err := os.WriteFile(b.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *board) socket() string { return filepath.Join(b.dir, "api.sock") }

// cli runs a command line with the sockets and the config of the board.
func (b *board) cli(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	return cli(t, append(args, "--socket", b.socket(), "--config", b.config)...)
}

// want runs a command line that ends with a code.
func (b *board) want(t *testing.T, code int, args ...string) (out, errs string) {
	t.Helper()
	got, out, errs := b.cli(t, args...)
	if got != code {
		t.Fatalf("fieldpost %s: code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, errs)
	}
	return out, errs
}

// open opens the queue, as the gateway would.
func (b *board) open(t *testing.T) *storeforward.Queue {
	t.Helper()
	o := storeforward.Defaults(filepath.Join(b.dir, "data", "queue"))
	o.MaxBytes, o.MinFree, o.CommitAge, o.Clock = 64e6, storeforward.MinMinFree, 0, clock.NewSystem(time.Time{})
	q, err := storeforward.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// with works on the queue and closes it.
func (b *board) with(t *testing.T, f func(q *storeforward.Queue)) {
	t.Helper()
	q := b.open(t)
	defer func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	}()
	f(q)
}

// serve answers at the socket of the board as a running gateway does.
func (b *board) serve(t *testing.T, q *storeforward.Queue) {
	t.Helper()
	b.handle(t, service.QueueHandler(q, filepath.Join(b.dir, "data"), slog.New(slog.DiscardHandler)))
}

// answer answers one call at the socket of the board.
func (b *board) answer(t *testing.T, call string, f http.HandlerFunc) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc(call, f)
	b.handle(t, mux)
}

func (b *board) handle(t *testing.T, h http.Handler) {
	t.Helper()
	l, err := net.Listen("unix", b.socket())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: h}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-served })
}

func reading(lane gateway.Lane, body string) gateway.Message {
	return gateway.Message{
		ID: gateway.MessageID{Lane: lane}, Kind: gateway.KindTelemetry, Created: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC),
		ContentType: "application/json", Body: []byte(body),
	}
}

func accept(t *testing.T, q *storeforward.Queue, messages ...gateway.Message) []gateway.MessageID {
	t.Helper()
	ids, err := q.Append(t.Context(), messages...)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// acceptMany accepts n readings into telemetry.
func acceptMany(t *testing.T, q *storeforward.Queue, n int) []gateway.MessageID {
	t.Helper()
	var messages []gateway.Message
	for i := range n {
		messages = append(messages, reading(gateway.LaneTelemetry, fmt.Sprintf(`{"value":%d}`, i+1)))
	}
	return accept(t, q, messages...)
}

// reject accepts a message that the upstream refuses, and returns the id of
// the dead letter.
func reject(t *testing.T, q *storeforward.Queue, body, reason string) gateway.MessageID {
	t.Helper()
	id := accept(t, q, reading(gateway.LaneTelemetry, body))[0]
	if err := q.Reject(t.Context(), id, reason); err != nil {
		t.Fatal(err)
	}
	list, err := q.List(gateway.LaneDeadLetter, 0, 1000)
	if err != nil || len(list) == 0 {
		t.Fatalf("%d dead letters: %v", len(list), err)
	}
	return list[len(list)-1].ID
}

// deliver takes n messages as the upstream does, acknowledges them, and
// returns the lines that the hub stores.
func deliver(t *testing.T, q *storeforward.Queue, n int) (lines []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range n {
		m, err := q.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, hubLine(m))
		if err := q.Ack(m.ID); err != nil {
			t.Fatal(err)
		}
	}
	return lines
}

func hubLine(m gateway.Message) string {
	return fmt.Sprintf(`{"offset":1,"device":"gw","enqueued":"2026-05-04T03:02:01.000Z","system":{"message-id":%q,"content-type":%q},`+
		`"properties":{"store":%q,"lane":%q,"seq":"%d","kind":%q},"body":%s}`,
		m.ID, m.ContentType, m.ID.Store, m.ID.Lane, m.ID.Seq, m.Kind, m.Body)
}

// store writes what a receiver has, and returns the file.
func (b *board) store(t *testing.T, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "received.ndjson")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func wantText(t *testing.T, what, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%s: want %q in:\n%s", what, want, text)
		}
	}
}
