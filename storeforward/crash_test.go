package storeforward

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// The environment that tells the test binary to be the process that gets
// killed, and at which step of its work it kills itself; 0 leaves that to the
// parent.
const (
	crashDir  = "STOREFORWARD_CRASH_DIR"
	crashStep = "STOREFORWARD_CRASH_STEP"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		crashingWriter(dir)
		os.Exit(1)
	}
	if dir := os.Getenv(wreckDir); dir != "" {
		if err := playWreck(dir, os.Getenv(wreckPhase)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv(memoryDir); dir != "" {
		if err := measureMemory(dir, os.Getenv("STOREFORWARD_MEMORY_PHASE")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	if !flagGiven("rapid.checks") { // make soak does many more
		_ = flag.Set("rapid.checks", "30")
	}
	os.Exit(m.Run())
}

func flagGiven(name string) (given bool) {
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

// crashLanes are filled by one producer each: one gives up what is beyond a
// number, one what is beyond a size, one makes its producer wait.
var crashLanes = map[gateway.Lane]LaneOptions{
	gateway.LaneTelemetry: {MaxMessages: 250}, "bulk": {MaxBytes: 64 << 10}, gateway.LaneAlerts: {MaxMessages: 250},
}

func crashOptions(dir string) Options {
	o := testOptions(dir)
	o.Lanes, o.epochBytes, o.JournalEntries = maps.Clone(crashLanes), 16<<10, 40
	o.Lanes["marks"] = LaneOptions{}
	return o
}

// speaker says on stdout what the writer has been promised, a line each:
//
//   - lane seq          the message is durable
//   - lane seq          it was handed out, and is being acknowledged
//     = lane seq          its acknowledgement is on disk
//     gap lane first last is explained
//     begun, ended id     a command is in the journal, with its result
//     ! text              a promise was broken
type speaker struct {
	mu  sync.Mutex
	out io.Writer
}

func (s *speaker) say(format string, v ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, format+"\n", v...) // the reader is the judge
}

// crashingWriter appends, drains and runs commands until it is killed.
func crashingWriter(dir string) {
	s := &speaker{out: os.Stdout}
	o := crashOptions(dir)
	if n, _ := strconv.ParseInt(os.Getenv(crashStep), 10, 64); n > 0 {
		var steps atomic.Int64
		o.step = func(string) {
			if steps.Add(1) == n {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
	}
	q, err := Open(o)
	if err != nil {
		s.say("! open: %v", err)
		return
	}
	s.say("ready")
	for lane := range crashLanes {
		go produce(q, lane, s)
	}
	go runCommands(q, s)
	drainAndTell(q, s)
}

func produce(q *Queue, lane gateway.Lane, s *speaker) {
	next := uint64(1)
	for _, l := range q.Stats().Lanes {
		if l.Lane == lane {
			next = l.Next
		}
	}
	for {
		batch := make([]gateway.Message, 1+rand.IntN(20))
		for i := range batch {
			batch[i] = msg(lane, wreckBody(lane, next+uint64(i)))
		}
		ids, err := q.Append(context.Background(), batch...)
		if err != nil {
			s.say("! append: %v", err)
			return
		}
		for i, id := range ids {
			if id.Seq != next+uint64(i) {
				s.say("! lane %s: got seq %d, want %d", lane, id.Seq, next+uint64(i))
			}
		}
		s.say("+ %s %d", lane, ids[len(ids)-1].Seq)
		next += uint64(len(ids))
	}
}

func runCommands(q *Queue, s *speaker) {
	for {
		cmd := command(fmt.Sprint(rand.Uint64()))
		if _, _, err := q.Journal().Begin(context.Background(), cmd); err != nil {
			s.say("! begin: %v", err)
			return
		}
		s.say("begun %s", cmd.ID)
		result := gateway.Result{CommandID: cmd.ID, Status: gateway.StatusDone}
		err := errors.Join(q.Journal().Start(context.Background(), cmd.ID),
			q.Journal().Finish(context.Background(), result, msg(gateway.LaneResults, cmd.ID)))
		if err != nil {
			s.say("! finish: %v", err)
			return
		}
		s.say("ended %s", cmd.ID)
		time.Sleep(3 * time.Millisecond) // results must not come faster than they are drained
	}
}

func drainAndTell(q *Queue, s *speaker) {
	var acked []gateway.MessageID
	for {
		m, err := q.Next(context.Background())
		if err != nil {
			s.say("! next: %v", err)
			return
		}
		var g gateway.Gap
		switch _, ours := crashLanes[m.ID.Lane]; {
		case ours && string(m.Body) != wreckBody(m.ID.Lane, m.ID.Seq):
			s.say("! %s holds %.40q", m.ID, m.Body)
			return
		case ours:
			s.say("- %s %d", m.ID.Lane, m.ID.Seq)
		case m.Kind == gateway.KindGap && json.Unmarshal(m.Body, &g) == nil:
			s.say("gap %s %d %d", g.Lane, g.First, g.Last)
		}
		if err := q.Ack(m.ID); err != nil {
			s.say("! ack: %v", err)
			return
		}
		if acked = append(acked, m.ID); len(acked) < 20 {
			continue
		}
		// What is written after an acknowledgement takes it along.
		if _, err := q.Append(context.Background(), msg("marks", "mark")); err != nil {
			s.say("! mark: %v", err)
			return
		}
		for _, id := range acked {
			s.say("= %s %d", id.Lane, id.Seq)
		}
		acked = acked[:0]
	}
}

// promises are what killed writers had been told of one lane.
type promises struct {
	durable                   uint64
	acked, settled, explained intervals
	judged                    uint64 // below this nothing can change any more
}

// crashCourt hears what the writers say and judges the store.
type crashCourt struct {
	dir   string
	lanes map[gateway.Lane]*promises
	// begun and ended are commands, the newest last.
	begun, ended []string
	accepted     uint64
}

// TestKill9LosesNothing kills a writer with -9 again and again on one store: at
// each of the first steps of its work, then at steps and moments drawn by lot.
// STOREFORWARD_CRASH_ROUNDS sets how often.
func TestKill9LosesNothing(t *testing.T) {
	rounds := 25
	if n, err := strconv.Atoi(os.Getenv("STOREFORWARD_CRASH_ROUNDS")); err == nil {
		rounds = n
	}
	c := &crashCourt{dir: filepath.Join(t.TempDir(), "queue"), lanes: make(map[gateway.Lane]*promises)}
	for lane := range crashLanes {
		c.lanes[lane] = &promises{}
	}
	for round := 1; round <= rounds; round++ {
		step := round
		if round > 20 {
			step = max(0, 1+rand.IntN(400)-50) // 0 is a moment
		}
		c.killOnce(t, step)
		c.judge(t)
		if round%500 == 0 {
			t.Logf("%d kills", round)
		}
		if t.Failed() {
			t.Fatalf("in round %d, step %d", round, step)
		}
	}
	t.Logf("%d kills, %d messages accepted, %d commands", rounds, c.accepted, len(c.begun))
}

// killOnce runs a writer until it is killed, and takes down what it said.
func (c *crashCourt) killOnce(t *testing.T, step int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+c.dir, crashStep+"="+strconv.Itoa(step))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if step == 0 {
		defer time.AfterFunc(rand.N(250*time.Millisecond), func() { _ = cmd.Process.Kill() }).Stop()
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // and a line that is torn
			break
		}
		c.hear(t, strings.TrimSpace(line))
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the writer ended by itself: %v", err)
	}
}

func (c *crashCourt) hear(t *testing.T, line string) {
	t.Helper()
	fields := strings.Fields(line)
	number := func(i int) uint64 {
		n, err := strconv.ParseUint(fields[i], 10, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		return n
	}
	switch fields[0] {
	case "!":
		t.Error(line)
		return
	case "ready":
		return
	case "begun":
		c.begun = append(c.begun, fields[1])
		return
	case "ended":
		c.ended = append(c.ended, fields[1])
		return
	}
	p := c.lanes[gateway.Lane(fields[1])]
	if p == nil {
		return
	}
	switch fields[0] {
	case "+":
		c.accepted += number(2) - p.durable
		p.durable = number(2)
	case "-":
		p.acked.add(number(2), number(2))
	case "=":
		p.settled.add(number(2), number(2))
	case "gap":
		p.explained.add(number(2), number(3))
	}
}

// judge reads everything that is there: each message that was promised waits
// with its own body, was acknowledged, or is explained; none comes back.
func (c *crashCourt) judge(t *testing.T) {
	t.Helper()
	q, err := Open(crashOptions(c.dir))
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, q)
	gaps, err := q.List(gateway.LaneGaps, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range gaps {
		g := decodeGap(t, m)
		c.lanes[g.Lane].explained.add(g.First, g.Last)
	}
	for _, s := range q.Stats().Lanes {
		if p := c.lanes[s.Lane]; p != nil {
			c.judgeLane(t, q, s, p)
		}
	}
	c.judgeJournal(t, q.Journal())
}

func (c *crashCourt) judgeLane(t *testing.T, q *Queue, s LaneStats, p *promises) {
	t.Helper()
	if s.Store != q.Store() {
		t.Errorf("lane %s is of another store: %s", s.Lane, s.Store)
	}
	if s.Next <= p.durable {
		t.Errorf("lane %s ends before %d, %d were promised", s.Lane, s.Next, p.durable)
	}
	if s.Gap != nil {
		p.explained.add(s.Gap.First, s.Gap.Last)
	}
	waiting, err := q.List(s.Lane, 0, 1<<20)
	if err != nil || uint64(len(waiting)) != s.Waiting {
		t.Errorf("lane %s: %d listed of %d: %v", s.Lane, len(waiting), s.Waiting, err)
	}
	there := intervals{}
	for _, m := range waiting {
		if string(m.Body) != wreckBody(s.Lane, m.ID.Seq) {
			t.Errorf("%s is there with %.40q", m.ID, m.Body)
		}
		if there.add(m.ID.Seq, m.ID.Seq) == 0 || m.ID.Seq != there[len(there)-1].last {
			t.Errorf("%s is listed out of order", m.ID)
		}
		if p.settled.has(m.ID.Seq) || p.explained.has(m.ID.Seq) {
			t.Errorf("%s is back: settled %v, explained %v", m.ID, p.settled.has(m.ID.Seq), p.explained.has(m.ID.Seq))
		}
	}
	for seq := max(1, p.judged); seq < s.Next; seq++ {
		if !there.has(seq) && !p.acked.has(seq) && !p.explained.has(seq) {
			t.Errorf("%s %d is gone", s.Lane, seq)
			return
		}
	}
	p.judged = s.First
	p.durable = s.Next - 1 // what was written and not yet answered counts from now on
}

// judgeJournal looks at the newest commands; older ones may be forgotten.
func (c *crashCourt) judgeJournal(t *testing.T, j *Journal) {
	t.Helper()
	for _, id := range c.begun[max(0, len(c.begun)-20):] {
		if _, found, err := j.Entry(t.Context(), id); !found {
			t.Errorf("command %s: %v", id, err)
		}
	}
	for _, id := range c.ended[max(0, len(c.ended)-20):] {
		if e, _, err := j.Entry(t.Context(), id); err != nil || e.Result == nil {
			t.Errorf("command %s has no result: %v", id, err)
		}
	}
}
