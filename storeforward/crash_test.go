package storeforward

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// crashDir tells the test binary to be the process that gets killed.
const crashDir = "STOREFORWARD_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		crashingWriter(dir)
		os.Exit(1)
	}
	if dir := os.Getenv(memoryDir); dir != "" {
		if err := measureMemory(dir, os.Getenv("STOREFORWARD_MEMORY_PHASE")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// crashLanes are filled by one producer each; every body says where it belongs.
var crashLanes = []gateway.Lane{gateway.LaneTelemetry, gateway.LaneAlerts}

// crashingWriter appends and drains until it is killed, and says on stdout what
// it has been promised: "+ lane seq" for each message that is durable, "- lane
// seq" for each acknowledgement that was handed over.
func crashingWriter(dir string) {
	o := testOptions(dir)
	q, err := Open(o)
	if err != nil {
		fmt.Println("! open:", err)
		return
	}
	var out sync.Mutex
	say := func(lines string) {
		out.Lock()
		defer out.Unlock()
		_, _ = io.WriteString(os.Stdout, lines) // the reader is the judge
	}
	say("ready\n")
	for _, lane := range crashLanes {
		go produce(q, lane, say)
	}
	for {
		m, err := q.Next(context.Background())
		if err != nil {
			say("! next: " + err.Error() + "\n")
			return
		}
		if want := crashBody(m.ID.Lane, m.ID.Seq); string(m.Body) != want {
			say(fmt.Sprintf("! %s holds %.40q, want %.40q\n", m.ID, m.Body, want))
			return
		}
		if err := q.Ack(m.ID); err != nil {
			say("! ack: " + err.Error() + "\n")
			return
		}
		say(fmt.Sprintf("- %s %d\n", m.ID.Lane, m.ID.Seq))
		if m.ID.Seq%3 == 0 {
			time.Sleep(time.Millisecond) // so that a backlog builds up
		}
	}
}

func produce(q *Queue, lane gateway.Lane, say func(string)) {
	next := uint64(1)
	for _, l := range q.Stats().Lanes {
		if l.Lane == lane {
			next = l.Next
		}
	}
	for {
		batch := make([]gateway.Message, 1+rand.IntN(40))
		for i := range batch {
			batch[i] = msg(lane, crashBody(lane, next+uint64(i)))
		}
		ids, err := q.Append(context.Background(), batch...)
		if err != nil {
			say("! append: " + err.Error() + "\n")
			return
		}
		var lines strings.Builder
		for i, id := range ids {
			if id.Seq != next+uint64(i) {
				fmt.Fprintf(&lines, "! lane %s: got seq %d, want %d\n", lane, id.Seq, next+uint64(i))
			}
			fmt.Fprintf(&lines, "+ %s %d\n", lane, id.Seq)
		}
		next += uint64(len(ids))
		say(lines.String())
	}
}

// crashBody is what message seq of a lane must hold.
func crashBody(lane gateway.Lane, seq uint64) string {
	return fmt.Sprintf("%s %d %s", lane, seq, strings.Repeat("x", int(seq*7919%900)))
}

// promise is what a killed writer had been told.
type promise struct {
	durable uint64 // the highest sequence number that Append returned
	acked   uint64 // the highest that was acknowledged
}

// TestKill9LosesNothing kills a writer with -9 at random moments, again and
// again on one store. STOREFORWARD_CRASH_ROUNDS sets how often.
func TestKill9LosesNothing(t *testing.T) {
	rounds := 12
	if n, err := strconv.Atoi(os.Getenv("STOREFORWARD_CRASH_ROUNDS")); err == nil {
		rounds = n
	}
	dir := t.TempDir()
	told := make(map[gateway.Lane]*promise)
	for _, lane := range crashLanes {
		told[lane] = &promise{}
	}
	total := 0
	for range rounds {
		total += killOnce(t, dir, told)
		if t.Failed() {
			return
		}
		judgeStore(t, dir, told)
	}
	t.Logf("%d kills, %d messages accepted", rounds, total)
}

// killOnce runs a writer for a moment, kills it, and takes down what it said.
func killOnce(t *testing.T, dir string, told map[gateway.Lane]*promise) (accepted int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() { _ = cmd.Process.Kill() }
	early := rand.IntN(4) == 0 // while the store is being opened
	if early {
		defer time.AfterFunc(rand.N(40*time.Millisecond), kill).Stop()
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		text := lines.Text()
		if text == "ready" {
			if !early {
				defer time.AfterFunc(rand.N(250*time.Millisecond), kill).Stop()
			}
			continue
		}
		var mark, lane string
		var seq uint64
		if n, _ := fmt.Sscanf(text, "%s %s %d", &mark, &lane, &seq); n != 3 || mark == "!" {
			if strings.HasPrefix(text, "!") {
				t.Error(text)
			}
			continue // the last line may be torn
		}
		p := told[gateway.Lane(lane)]
		switch {
		case p == nil:
		case mark == "+":
			p.durable = max(p.durable, seq)
			accepted++
		case mark == "-":
			p.acked = max(p.acked, seq)
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the writer ended by itself")
	}
	return accepted
}

// judgeStore reads everything that waits: in order, without a hole, each with
// its own body, from behind the acknowledgements to the last promise.
func judgeStore(t *testing.T, dir string, told map[gateway.Lane]*promise) {
	t.Helper()
	q, err := Open(testOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, lane := range crashLanes {
		s, p := laneStats(t, q, lane), told[lane]
		if s.First > p.acked+1 {
			t.Errorf("lane %s begins at %d, only %d were acknowledged", lane, s.First, p.acked)
		}
		if s.Next <= p.durable {
			t.Errorf("lane %s ends before %d, %d were promised", lane, s.Next, p.durable)
		}
		if s.Lost > 0 {
			t.Errorf("lane %s: %d given up", lane, s.Lost)
		}
		for seq := s.First; seq < s.Next; {
			list, err := q.List(lane, seq, 500)
			if err != nil || len(list) == 0 {
				t.Errorf("lane %s at %d: %d listed: %v", lane, seq, len(list), err)
				return
			}
			for _, m := range list {
				if m.ID.Seq != seq || string(m.Body) != crashBody(lane, seq) {
					t.Errorf("%s is there with %.40q, want %d", m.ID, m.Body, seq)
					return
				}
				seq++
			}
		}
		p.durable = s.Next - 1 // what was written and not yet answered counts from now on
	}
	if laneStats(t, q, gateway.LaneGaps).Next != 1 {
		t.Error(errors.New("there are gap records, nothing was lost"))
	}
}
