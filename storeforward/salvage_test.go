package storeforward

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// The environment that tells the test binary to be the gateway of a store that
// is going to be damaged: first "fill", which ends in a kill, then "recover".
const (
	wreckDir   = "STOREFORWARD_WRECK_DIR"
	wreckPhase = "STOREFORWARD_WRECK_PHASE"
)

const (
	wreckTelemetry = 2000
	wreckAlerts    = 60
	wreckAcked     = 300 // of the telemetry
	wreckChunk     = 20  // messages in one append
	wreckCommands  = 5
)

func wreckOptions(dir string) Options {
	o := testOptions(dir)
	o.epochBytes = 128 << 10
	if strings.Contains(dir, "sealed") {
		o.Key = []byte(testKey)
	}
	return o
}

// wreckBody is what message seq of a lane holds; it does not shrink.
func wreckBody(lane gateway.Lane, seq uint64) string {
	r := rand.New(rand.NewPCG(seq, uint64(len(lane))))
	data := make([]byte, 200+r.IntN(300))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return fmt.Sprintf("%s %d %s", lane, seq, base64.StdEncoding.EncodeToString(data))
}

// playWreck is the process of a phase.
func playWreck(dir, phase string) error {
	if phase == "fill" {
		return fillWreck(dir)
	}
	q, err := openLikeTheService(wreckOptions(dir))
	if err != nil {
		return err
	}
	return tellWreck(q)
}

// fillWreck makes a store with tables, a log, commands and dead letters, and
// ends without closing it.
func fillWreck(dir string) error {
	for half := range 2 {
		q, err := Open(wreckOptions(dir))
		if err != nil {
			return err
		}
		if half == 0 {
			fmt.Println("store", q.Store())
		}
		err = errors.Join( // the messages last, so that they are in the log
			fillJournal(q, half*wreckCommands, (half+1)*wreckCommands),
			fillLane(q, gateway.LaneTelemetry, wreckTelemetry/2), fillLane(q, gateway.LaneAlerts, wreckAlerts/2))
		if err == nil && half == 0 {
			err = errors.Join(ackWreck(q), q.Close())
		}
		if err != nil {
			return err
		}
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

func fillLane(q *Queue, lane gateway.Lane, n int) error {
	next := q.own[lane].next()
	for ; n > 0; n -= wreckChunk {
		batch := make([]gateway.Message, min(n, wreckChunk))
		for i := range batch {
			batch[i] = msg(lane, wreckBody(lane, next))
			next++
		}
		if _, err := q.Append(context.Background(), batch...); err != nil {
			return err
		}
	}
	return nil
}

func fillJournal(q *Queue, from, to int) error {
	for i := from; i < to; i++ {
		cmd := command(fmt.Sprintf("c%d", i))
		if _, _, err := q.Journal().Begin(context.Background(), cmd); err != nil {
			return err
		}
		if i%2 == 0 {
			result := gateway.Result{CommandID: cmd.ID, Status: gateway.StatusDone}
			if err := q.Journal().Finish(context.Background(), result); err != nil {
				return err
			}
		}
	}
	return nil
}

func ackWreck(q *Queue) error {
	for acked := 0; acked < wreckAcked; {
		m, err := q.Next(context.Background())
		if err != nil {
			return err
		}
		if m.ID.Lane != gateway.LaneTelemetry {
			continue
		}
		if err := q.Ack(m.ID); err != nil {
			return err
		}
		acked++
	}
	return nil
}

// openLikeTheService sets a damaged store aside and goes on with a new one.
func openLikeTheService(o Options) (*Queue, error) {
	q, err := Open(o)
	if errors.Is(err, ErrDamaged) {
		fmt.Println("damaged", strings.ReplaceAll(err.Error(), "\n", " "))
		if _, err := Quarantine(o.Dir); err != nil {
			return nil, err
		}
		q, err = Open(o)
	}
	return q, err
}

// tellWreck says what of the store has come through.
func tellWreck(q *Queue) error {
	out := os.Stdout // at once: the process may die
	for i := range 2 * wreckCommands {
		id := fmt.Sprintf("c%d", i)
		if e, found, _ := q.Journal().Entry(context.Background(), id); found {
			fmt.Fprintf(out, "command %s %v\n", id, e.Result != nil)
		}
	}
	for !calm(q.Stats()) {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		m, err := q.Next(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			continue
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "message %s %s\n", m.ID, base64.StdEncoding.EncodeToString(m.Body))
		if err := q.Ack(m.ID); err != nil {
			return err
		}
	}
	fmt.Fprintln(out, "end")
	return q.Close()
}

// calm reports whether everything has been handed out, salvaged and told.
func calm(s Stats) bool {
	if s.Salvage != nil && s.Salvage.Done.IsZero() {
		return false
	}
	for _, l := range s.Lanes {
		if l.Lane != gateway.LaneDeadLetter && (l.Waiting > 0 || l.Gap != nil) {
			return false
		}
	}
	return true
}

// recovered is what a gateway made of a damaged store.
type recovered struct {
	damage    string
	died      bool // a gateway did, so that what it had sent may come again
	delivered map[gateway.Lane]intervals
	explained map[gateway.Lane]intervals
	commands  map[string]string
}

// recover starts gateways on the store, until one comes to its end; a few may
// die of the damage.
func recoverWreck(t *testing.T, dir, store string) recovered {
	t.Helper()
	r := recovered{
		delivered: make(map[gateway.Lane]intervals), explained: make(map[gateway.Lane]intervals),
		commands: make(map[string]string),
	}
	for range maxDeaths + 2 {
		out, trouble, err := runWreck(dir, "recover")
		r.read(t, out, store)
		if err == nil {
			return r
		}
		r.died = true
		t.Logf("a gateway died: %v\n%s", err, last(trouble, 3))
	}
	t.Fatal("no gateway survives")
	return r
}

func last(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func runWreck(dir, phase string) (out, trouble string, err error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), wreckDir+"="+dir, wreckPhase+"="+phase)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

// read takes down what a gateway said.
func (r *recovered) read(t *testing.T, out, store string) {
	t.Helper()
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		switch fields[0] {
		case "damaged":
			r.damage = strings.TrimSpace(line)
		case "command":
			r.commands[fields[1]] = fields[2]
		case "message":
			r.message(t, fields[1], fields[2], store)
		}
	}
}

func (r *recovered) message(t *testing.T, id, encoded, store string) {
	t.Helper()
	parsed, err1 := gateway.ParseMessageID(id)
	body, err2 := base64.StdEncoding.DecodeString(encoded)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if parsed.Lane == gateway.LaneGaps {
		g := decodeGap(t, gateway.Message{Kind: gateway.KindGap, Body: body})
		if g.Store == store {
			runs := r.explained[g.Lane]
			if fresh := runs.add(g.First, g.Last); fresh != g.Count && !r.died {
				t.Errorf("gap %+v explains %d numbers anew", g, fresh)
			}
			r.explained[g.Lane] = runs
		}
		return
	}
	if parsed.Store != store {
		t.Errorf("%s is of a store that had no messages", id)
	}
	if string(body) != wreckBody(parsed.Lane, parsed.Seq) {
		t.Errorf("%s has another body", id)
	}
	runs := r.delivered[parsed.Lane]
	if runs.has(parsed.Seq) {
		if !r.died {
			t.Fatalf("%s comes twice", id)
		}
		return
	}
	if next := runs.past(parsed.Seq); len(runs) > 0 && next < runs[len(runs)-1].last {
		t.Errorf("%s comes out of order", id)
	}
	runs.add(parsed.Seq, parsed.Seq)
	r.delivered[parsed.Lane] = runs
}

// judge checks that each message was delivered or is explained, none is both,
// and no more than lost are explained.
func (r *recovered) judge(t *testing.T, lost uint64) {
	t.Helper()
	total := uint64(0)
	for lane, span := range map[gateway.Lane]interval{
		gateway.LaneTelemetry: {wreckAcked + 1, wreckTelemetry}, gateway.LaneAlerts: {1, wreckAlerts},
	} {
		delivered, explained := r.delivered[lane], r.explained[lane]
		for seq := span.first; seq <= span.last; seq++ {
			if delivered.has(seq) == explained.has(seq) {
				t.Errorf("%s %d: delivered %v, explained %v", lane, seq, delivered.has(seq), explained.has(seq))
				return
			}
		}
		total += explained.count(span.first, span.last)
	}
	if total > lost {
		t.Errorf("%d messages are lost, that damage may cost %d", total, lost)
	}
	t.Logf("%d messages lost; %s", total, r.damage)
}

const (
	all   = wreckTelemetry + wreckAlerts
	chunk = 3 * wreckChunk // a flipped byte may lie where chunks meet
)

// TestEveryKindOfDamage, to every kind of file: the gateway starts, everything
// that can be read arrives under the id that it had, in order, and gap records
// say exactly what is missing.
func TestEveryKindOfDamage(t *testing.T) {
	zero := func(at, n int) func([]byte) []byte {
		return func(data []byte) []byte {
			at := (at + len(data)) % len(data)
			clear(data[at:min(at+n, len(data))])
			return data
		}
	}
	for _, c := range []struct {
		pattern, name string
		change        func([]byte) []byte
		lost          uint64
	}{
		{"MANIFEST", "gone", gone, 0},
		{"MANIFEST", "empty", none, 0},
		{"MANIFEST", "half", half, 0},
		{"MANIFEST", "flipped", flip(10), 0},
		{"MANIFEST", "flipped at the end", flip(-3), 0},
		{"MANIFEST", "end cut off", cutOff(5), 0},
		{"MANIFEST", "zeroed", zero(0, 1<<20), 0},
		{"MANIFEST", "garbage behind", followedBy("garbage"), 0},
		{"MANIFEST", "zeros behind", followedBy(strings.Repeat("\x00", 100)), 0},
		{"KEYREGISTRY", "gone", gone, 0},
		{"KEYREGISTRY", "empty", none, 0},
		{"KEYREGISTRY", "half", half, 0},
		{"KEYREGISTRY", "flipped", flip(-1), 0},
		{"KEYREGISTRY", "zeroed", zero(0, 1<<20), 0},
		{"DISCARD", "gone", gone, 0},
		{"DISCARD", "empty", none, 0},
		{"DISCARD", "flipped", flip(10), 0},
		{"*.vlog", "gone", gone, 0},
		{"*.vlog", "empty", none, 0},
		{"*.vlog", "half", half, 0},
		{"*.vlog", "flipped", flip(3), 0},
		{"*.vlog", "zeroed", zero(0, 1<<20), 0},
		{"*.mem", "gone", gone, all},
		{"*.mem", "empty", none, all},
		{"*.mem", "10 bytes", keep(10), all},
		{"*.mem", "header flipped", flip(3), 0},
		{"*.mem", "header zeroed", zero(0, 20), chunk},
		{"*.mem", "cut", keep(100_000), all},
		{"*.mem", "middle flipped", flip(200_000), chunk},
		{"*.mem", "beginning flipped", flip(60), chunk},
		{"*.mem", "page zeroed", zero(100_000, 4096), chunk},
		{"*.mem", "zeroed", zero(0, 8<<20), all},
		{"*.mem", "length flipped", flip(23), chunk},
		{"*.sst", "gone", gone, all},
		{"*.sst", "empty", none, all},
		{"*.sst", "half", half, all},
		{"*.sst", "footer flipped", flip(-1), 0},
		{"*.sst", "checksum flipped", flip(-8), 0},
		{"*.sst", "index flipped", flip(-60), 0},
		{"*.sst", "block flipped", flip(250_000), 2 * chunk},
		{"*.sst", "last block flipped", flip(-1500), 2 * chunk},
		{"*.sst", "page zeroed", zero(100_000, 4096), 2 * chunk},
		{"*.sst", "beginning flipped", flip(1), 2 * chunk},
		{"*.sst", "zeroed", zero(0, 8<<20), all},
		{"LOCK", "gone", gone, 0},
		{"LOCK", "garbage", followedBy("x"), 0},
	} {
		t.Run(strings.Trim(c.pattern, "*.")+" "+c.name, func(t *testing.T) {
			t.Parallel() // they wait more than they work
			dir := filepath.Join(t.TempDir(), "queue")
			if rand.IntN(2) == 0 {
				dir = filepath.Join(t.TempDir(), "sealed")
			}
			out, _, err := runWreck(dir, "fill")
			if err == nil || !strings.HasPrefix(out, "store ") {
				t.Fatalf("filling: %v\n%s", err, out)
			}
			store := strings.Fields(out)[1]
			spoil(t, dir, c.pattern, c.change)
			r := recoverWreck(t, dir, store)
			r.judge(t, c.lost)
			if n := 2 * wreckCommands; c.lost < all && len(r.commands) < n-2 {
				t.Errorf("%d commands are known of %d", len(r.commands), n)
			}
			if r := recoverWreck(t, dir, store); len(r.delivered)+len(r.explained) > 0 {
				t.Errorf("after another start all comes again: %v %v", r.delivered, r.explained)
			}
		})
	}
}

// TestAWreckNeedsItsKey: nothing of it is taken for lost because the key is
// another one.
func TestAWreckNeedsItsKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sealed")
	if out, _, err := runWreck(dir, "fill"); err == nil {
		t.Fatalf("filling ended by itself: %s", out)
	}
	spoil(t, dir, "MANIFEST", gone)
	o := wreckOptions(dir)
	o.Key = []byte("another key of sixteen bytes")
	if _, err := Open(o); !errors.Is(err, ErrDamaged) {
		t.Fatalf("%v, want ErrDamaged", err)
	}
	if _, err := Quarantine(dir); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := Open(o); !errors.Is(err, ErrKey) {
			t.Errorf("another key: %v, want ErrKey", err)
		}
	}
	q := mustOpen(t, wreckOptions(dir))
	waitFor(t, func() bool { return !q.Stats().Salvage.Done.IsZero() })
	if s := q.Stats().Salvage; s.Messages != wreckTelemetry-wreckAcked+wreckAlerts || s.Lost != 0 || s.Commands != 2*wreckCommands {
		t.Errorf("salvaged %+v", s)
	}
}

func cutOff(n int) func([]byte) []byte {
	return func(data []byte) []byte { return data[:len(data)-n] }
}

func keep(n int) func([]byte) []byte {
	return func(data []byte) []byte { return data[:n] }
}

func followedBy(text string) func([]byte) []byte {
	return func(data []byte) []byte { return append(data, text...) }
}
