package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/service"
	"github.com/fieldpost/fieldpost/storeforward"
)

// TestQueueOfAGatewayThatStandsStill: the verbs open the queue themselves.
func TestQueueOfAGatewayThatStandsStill(t *testing.T) {
	b := newBoard(t)
	b.with(t, func(q *storeforward.Queue) {
		acceptMany(t, q, 200) // more than a page
		accept(t, q, reading("alerts", `{"text":"<hot> & wet"}`), reading("alerts", "\xff\x00"))
	})
	out, _ := b.want(t, 0, "queue", "stats")
	wantText(t, "stats", out, "telemetry", "200", "in the life of the store", "how long the card lasts is unknown")
	out, _ = b.want(t, 0, "queue", "ls", "alerts")
	wantText(t, "ls", out, "-alerts-1", "<hot> & wet")

	out, _ = b.want(t, 0, "queue", "export", "telemetry", "--from", "100")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 101 {
		t.Fatalf("%d lines, want 101", len(lines))
	}
	for i, line := range lines {
		var m service.ExportedMessage
		if err := json.Unmarshal([]byte(line), &m); err != nil || m.Seq != uint64(100+i) || m.ID != fmt.Sprintf("%s-telemetry-%d", m.Store, m.Seq) ||
			m.Lane != gateway.LaneTelemetry || m.Kind != gateway.KindTelemetry || m.ContentType != "application/json" || string(m.Body) != fmt.Sprintf(`{"value":%d}`, 100+i) {
			t.Fatalf("%s: %v", line, err)
		}
	}
	out, _ = b.want(t, 0, "queue", "export")
	if n := strings.Count(out, "\n"); n != 202 {
		t.Errorf("%d lines of all lanes, want 202", n)
	}
	wantText(t, "export", out, `"body":{"text":"<hot> & wet"}`, `"bodyBase64":"/wA="`)

	file := filepath.Join(b.dir, "out.ndjson")
	if out, _ := b.want(t, 0, "queue", "export", "--output", file); out != "" {
		t.Errorf("printed beside the file: %s", out)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != out {
		t.Errorf("the file differs from what is printed: %v", err)
	}
	_, errs := b.want(t, 1, "queue", "export", "nowhere", "--output", file+"2")
	wantText(t, "no such lane", errs, "there is alerts, deadletter")
	if left, _ := filepath.Glob(file + "2*"); left != nil {
		t.Errorf("left behind: %v", left)
	}
	out, _ = b.want(t, 0, "queue", "verify")
	wantText(t, "verify", out, "202 messages read")
}

func TestPurgeAsksOrWantsYes(t *testing.T) {
	b := newBoard(t)
	b.with(t, func(q *storeforward.Queue) { acceptMany(t, q, 3) })
	_, errs := b.want(t, 2, "queue", "purge", "telemetry")
	wantText(t, "purge", errs, "3 messages", "--yes")
	if out, _ := b.want(t, 0, "queue", "export", "telemetry"); strings.Count(out, "\n") != 3 {
		t.Errorf("messages are gone without a yes:\n%s", out)
	}
	out, _ := b.want(t, 0, "queue", "purge", "telemetry", "--yes")
	wantText(t, "purge --yes", out, "3 messages of lane telemetry given up")
	if out, _ := b.want(t, 0, "queue", "export", "telemetry"); out != "" {
		t.Errorf("still there: %s", out)
	}
	_, errs = b.want(t, 1, "queue", "purge", "nowhere", "--yes")
	wantText(t, "purge nowhere", errs, "there is alerts")
	out, _ = b.want(t, 0, "queue", "purge", "telemetry", "--yes", "--json")
	wantText(t, "purge --json", out, `"messages": 0`)
}

func TestVerifyNamesDamage(t *testing.T) {
	b := newBoard(t)
	noise := make([]byte, 100_000)
	_, _ = rand.Read(noise) // never fails
	mark := []byte(hex.EncodeToString(noise[:16]))
	body := append(noise, mark...)
	b.with(t, func(q *storeforward.Queue) {
		acceptMany(t, q, 2)
		accept(t, q, reading(gateway.LaneTelemetry, string(body)))
		accept(t, q, reading(gateway.LaneTelemetry, "{}"))
	})
	q := b.open(t)
	defer q.Close() //nolint:errcheck // what is damaged is not this test's
	b.serve(t, q)
	spoil(t, filepath.Join(b.dir, "data", "queue"), mark)
	out, errs := b.want(t, 1, "queue", "verify")
	wantText(t, "verify", out, "damaged: lane telemetry of store", "messages read")
	wantText(t, "verify", errs, "cannot be read")
	out, _ = b.want(t, 1, "queue", "verify", "--json")
	var r storeforward.VerifyReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || len(r.Damaged) == 0 || r.Damaged[0].First > 3 || r.Damaged[0].Last < 3 {
		t.Errorf("%s: %v", out, err)
	}
}

// spoil flips a bit where the files of a directory hold a text.
func spoil(t *testing.T, dir string, text []byte) {
	t.Helper()
	found := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		i := bytes.Index(data, text)
		if i < 0 {
			return nil
		}
		found++
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte{text[0] ^ 0x80}, int64(i))
		return errors.Join(err, f.Close())
	})
	if err != nil || found == 0 {
		t.Fatalf("nothing to spoil in %s: %v", dir, err)
	}
}

func TestNeitherAGatewayNorAQueue(t *testing.T) {
	b := newBoard(t)
	for _, verb := range [][]string{{"queue", "stats"}, {"queue", "ls"}, {"queue", "export"}, {"queue", "verify"}, {"queue", "purge", "alerts"}, {"deadletters", "ls"}} {
		_, errs := b.want(t, exitUnavailable, verb...)
		wantText(t, strings.Join(verb, " "), errs, "no gateway at "+b.socket(), "there is no queue in "+b.dir)
	}
	if entries, err := filepath.Glob(b.dir + "/data/*"); err != nil || entries != nil {
		t.Errorf("looking has made %v", entries)
	}
	q := b.open(t)
	acceptMany(t, q, 1)
	_, errs := b.want(t, exitUnavailable, "queue", "stats")
	wantText(t, "a queue in use", errs, "in use by another process", "--socket")
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(b.dir, "data", "queue", "MANIFEST"), 3); err != nil {
		t.Fatal(err)
	}
	_, errs = b.want(t, exitFailed, "queue", "stats")
	wantText(t, "a damaged queue", errs, "damaged", "start the gateway")
	if err := os.WriteFile(b.config, []byte("gatway: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.want(t, exitConfig, "queue", "stats")
}

func TestStatsSayWhatIsSpecial(t *testing.T) {
	s := storeforward.Stats{
		Store: "ab", DeviceBytes: 40e6, BytesAccepted: 100e6, WrittenPerAccepted: 0.4, WrittenEver: 2e12,
		Lanes: []storeforward.LaneStats{
			{Lane: "telemetry", Store: "ab", Held: true},
			{Lane: "telemetry", Store: "cd", Waiting: 4},
			{Lane: "alerts", Store: "ab", Gap: &gateway.Gap{First: 3, Last: 9, Reason: gateway.GapOverflow}},
		},
		Salvage: &storeforward.SalvageReport{Dirs: []string{"queue.damaged-1"}, Messages: 12, Commands: 1, Lost: 3, Problem: "the disk is full"},
	}
	var out bytes.Buffer
	printLanes(&out, s)
	printTroubles(&out, s)
	wantText(t, "stats", out.String(), "lane telemetry is held back", "lane telemetry is of the earlier store cd", "lane alerts has lost messages 3 to 9 (overflow)",
		"a damaged store is being brought over: 12 messages and 1 commands, 3 messages lost; what is left is in queue.damaged-1", "problem with it: the disk is full")
	want := "written to the card: 40.0 MB in 24 h 0 min for 100.0 MB accepted, 0.40 bytes a byte; 2.0 TB in the life of the store"
	if got := wearLine(s, 24*time.Hour); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	cases := []struct {
		years, endurance float64
		open             time.Duration
		want             string
	}{
		{12.34, 0, time.Hour, "the card lasts 12.3 years more at this rate"},
		{0, 10, 24 * time.Hour, "the card lasts 548 years more at this rate"},
		{0, 1, 24 * time.Hour, "the card has taken all that it is said to stand"},
		{0, 10, 5 * time.Minute, "unknown until the queue has been open for 10 min"},
		{0, 0, time.Hour, "unknown; set queue.card_endurance, or give --endurance"},
	}
	for _, c := range cases {
		s.CardYears = c.years
		if got := cardLine(s, c.endurance, c.open); !strings.Contains(got, c.want) {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// TestRootKeepsItsHandsOff: files of root would keep the gateway out.
func TestRootKeepsItsHandsOff(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	b := newBoard(t)
	b.with(t, func(q *storeforward.Queue) { acceptMany(t, q, 1) })
	if err := os.Chown(filepath.Join(b.dir, "data", "queue", "MANIFEST"), 54321, 54321); err != nil {
		t.Fatal(err)
	}
	_, errs := b.want(t, exitFailed, "queue", "stats")
	wantText(t, "queue of another user", errs, "is that of user #54321", "sudo -u")
}
