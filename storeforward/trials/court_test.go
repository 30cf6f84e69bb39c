package trials

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/storeforward"
)

// promises are what writers had been told of one lane.
type promises struct {
	durable                   uint64
	acked, settled, explained map[uint64]bool
	judged                    uint64 // below this nothing can change any more
}

// court hears what the writers say and judges the store.
type court struct {
	dir      string
	store    string
	lanes    map[gateway.Lane]*promises
	commands *docket
	accepted uint64
	// owed are the messages of an earlier store that have not been handed out.
	owed map[gateway.MessageID]bool
	// holds is what the store held when it was last judged.
	holds holding
	// open and salvaged: the writer has said that the store is.
	open, salvaged bool

	mu      sync.Mutex
	broken  []string
	refused []string
}

func newCourt(dir string) *court {
	c := &court{
		dir: dir, lanes: make(map[gateway.Lane]*promises), owed: make(map[gateway.MessageID]bool),
		commands: &docket{states: make(map[string]int), reported: make(map[string]bool)},
	}
	for _, lane := range lanes {
		c.lanes[lane] = &promises{acked: make(map[uint64]bool), settled: make(map[uint64]bool), explained: make(map[uint64]bool)}
	}
	return c
}

func (c *court) breaks(format string, v ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = append(c.broken, fmt.Sprintf(format, v...))
}

// refusals are what the writers were refused so far.
func (c *court) refusals() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.refused...)
}

func (c *court) acceptedSoFar() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accepted
}

// writer is a running gateway.
type writer struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr strings.Builder
	heard  chan struct{} // closed when all that it said has been heard
}

// start runs a writer on the court's store.
func (c *court) start(t *testing.T) *writer {
	t.Helper()
	w := &writer{cmd: exec.Command(os.Args[0]), heard: make(chan struct{})}
	w.cmd.Env = append(os.Environ(), writerDir+"="+c.dir)
	w.cmd.Stderr = &w.stderr
	in, err1 := w.cmd.StdinPipe()
	out, err2 := w.cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	w.stdin = in
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // before the disk goes, if the trial has not got to it
		if t.Failed() && !w.dead() {
			_ = w.cmd.Process.Signal(syscall.SIGQUIT)
			<-w.heard
			t.Logf("what the gateway was doing: %s", w.stderr.String())
		}
		w.kill()
	})
	go func() {
		defer close(w.heard)
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadString('\n')
			if err != nil { // and a line that is torn
				return
			}
			c.hear(strings.TrimSpace(line))
		}
	}()
	return w
}

// kill ends a writer with -9 and waits for it; another time it does nothing.
func (w *writer) kill() {
	_ = w.cmd.Process.Kill()
	<-w.heard
	_ = w.cmd.Wait()
}

// end ends a writer in order.
func (w *writer) end(t *testing.T) {
	t.Helper()
	_ = w.stdin.Close()
	<-w.heard
	if err := w.cmd.Wait(); err != nil {
		t.Errorf("writer: %v\n%s", err, w.stderr.String())
	}
}

func (c *court) hear(line string) {
	fields := strings.Fields(line)
	switch fields[0] {
	case "!":
		c.breaks("%s", line)
		return
	case "refused":
		c.mu.Lock()
		c.refused = append(c.refused, line)
		c.mu.Unlock()
		return
	case "store":
		if c.store != "" && c.store != fields[1] {
			c.breaks("the store was %s and is %s", c.store, fields[1])
		}
		c.store = fields[1]
		c.mu.Lock()
		c.open = true
		c.mu.Unlock()
		return
	case "salvaged":
		c.mu.Lock()
		c.salvaged = true
		c.mu.Unlock()
		return
	case "command", "result":
		c.commands.hear(fields)
		return
	}
	p := c.lanes[gateway.Lane(fields[1])]
	if p == nil {
		return
	}
	first, err := strconv.ParseUint(fields[2], 10, 64)
	last := first
	if err == nil && fields[0] == "gap" {
		last, err = strconv.ParseUint(fields[3], 10, 64)
	}
	if err != nil {
		c.breaks("%q: %v", line, err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch fields[0] {
	case "+":
		c.accepted += first - p.durable
		p.durable = first
	case "-":
		p.acked[first] = true
	case "old":
		delete(c.owed, gateway.MessageID{Lane: gateway.Lane(fields[1]), Seq: first})
	case "=":
		p.settled[first] = true
	case "gap":
		p.explain(first, last)
	}
}

func (p *promises) explain(first, last uint64) {
	for seq := max(first, p.judged); seq <= last; seq++ {
		p.explained[seq] = true
	}
}

// holding is what a store holds, as tell says it.
type holding struct {
	Store string `json:"store"`
	Lanes map[gateway.Lane]laneHolding
	Gaps  []gateway.Gap
	// Old are the messages that wait of an earlier store.
	Old      []gateway.MessageID
	Commands journalHolding
	// Wrong are bodies that are not what they must be.
	Wrong []string
}

type laneHolding struct {
	First, Next, Waiting uint64
	Seqs                 []uint64
}

// tell opens a store and says what it holds.
func tell(dir string, in io.Reader, out io.Writer) error {
	q, err := storeforward.Open(options(dir))
	if err != nil {
		return err
	}
	h := holding{Store: q.Store(), Lanes: make(map[gateway.Lane]laneHolding)}
	for _, s := range q.Stats().Lanes {
		if s.Gap != nil {
			h.Gaps = append(h.Gaps, *s.Gap)
		}
		if s.Store == q.Store() {
			h.Lanes[s.Lane] = laneHolding{First: s.First, Next: s.Next, Waiting: s.Waiting}
			continue
		}
		old, err := q.ListOf(s.Store, s.Lane, 0, 1<<20)
		if err != nil {
			return err
		}
		for _, m := range old {
			h.Old = append(h.Old, gateway.MessageID{Lane: m.ID.Lane, Seq: m.ID.Seq})
			if s.Lane == gateway.LaneResults {
				h.Commands.Reports = append(h.Commands.Reports, string(m.Body))
			}
		}
	}
	if err := h.Commands.tell(q, in); err != nil {
		return err
	}
	for _, lane := range append([]gateway.Lane{gateway.LaneGaps}, lanes...) {
		if err := h.list(q, lane); err != nil {
			return err
		}
	}
	return errors.Join(json.NewEncoder(out).Encode(h), q.Close())
}

func (h *holding) list(q *storeforward.Queue, lane gateway.Lane) error {
	messages, err := q.List(lane, 0, 1<<20)
	if err != nil {
		return err
	}
	l := h.Lanes[lane]
	for _, m := range messages {
		var g gateway.Gap
		switch {
		case lane != gateway.LaneGaps && string(m.Body) != body(lane, m.ID.Seq):
			h.Wrong = append(h.Wrong, fmt.Sprintf("%s is there with %.40q", m.ID, m.Body))
		case lane == gateway.LaneGaps && json.Unmarshal(m.Body, &g) != nil:
			h.Wrong = append(h.Wrong, fmt.Sprintf("gap record %s holds %.40q", m.ID, m.Body))
		case lane == gateway.LaneGaps:
			h.Gaps = append(h.Gaps, g)
		}
		l.Seqs = append(l.Seqs, m.ID.Seq)
	}
	h.Lanes[lane] = l
	return nil
}

// judge has everything told that is there: each message that was promised waits
// with its own body, was acknowledged, or is explained; none comes back. It
// returns the promises that were broken.
func (c *court) judge() []string {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), tellerDir+"="+c.dir)
	var trouble strings.Builder
	cmd.Stderr = &trouble
	cmd.Stdin = strings.NewReader(c.commands.ids())
	out, err := cmd.Output()
	var h holding
	if err = errors.Join(err, json.Unmarshal(out, &h)); err != nil {
		c.breaks("the store cannot be read: %v: %s", err, trouble.String())
		return c.broken
	}
	c.holds = h
	c.broken = append(c.broken, c.commands.judge(h.Commands)...)
	c.broken = append(c.broken, h.Wrong...)
	if c.store != "" && h.Store != c.store {
		c.breaks("the store was %s and is %s", c.store, h.Store)
	}
	for _, g := range h.Gaps {
		if p := c.lanes[g.Lane]; p != nil && g.Reason != gateway.GapDamaged {
			p.explain(g.First, g.Last)
		}
	}
	for _, lane := range lanes {
		c.judgeLane(lane, h.Lanes[lane], c.lanes[lane])
	}
	return c.broken
}

func (c *court) judgeLane(lane gateway.Lane, h laneHolding, p *promises) {
	if h.Next <= p.durable {
		c.breaks("lane %s ends before %d, %d were promised", lane, h.Next, p.durable)
	}
	if uint64(len(h.Seqs)) != h.Waiting {
		c.breaks("lane %s: %d listed of %d", lane, len(h.Seqs), h.Waiting)
	}
	there := make(map[uint64]bool)
	last := uint64(0)
	for _, seq := range h.Seqs {
		if seq <= last {
			c.breaks("%s %d is listed out of order", lane, seq)
		}
		if p.settled[seq] || p.explained[seq] {
			c.breaks("%s %d is back: settled %v, explained %v", lane, seq, p.settled[seq], p.explained[seq])
		}
		there[seq], last = true, seq
	}
	for seq := max(1, p.judged); seq < h.Next; seq++ {
		if !there[seq] && !p.acked[seq] && !p.explained[seq] {
			c.breaks("%s %d is gone", lane, seq)
			break
		}
	}
	p.judged = h.First
	p.durable = h.Next - 1 // what was written and not yet answered counts from now on
}

// waitFor waits until a condition holds: for long, since a full disk makes way
// slowly, on a busy machine more so.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come to be", what)
		}
	}
}
