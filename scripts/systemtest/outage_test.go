package systemtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	outageMessages = 10_000
	outageKills    = 6
	outageCommands = 40
)

// TestOutage hands in 10,000 messages and sends commands while the hub dies,
// comes back, swallows PUBACKs and cuts connections, and while the gateway is
// killed with -9 at random moments. The hub's record is the judge: every
// message that was accepted has arrived, in order, without a hole; every
// command has one final state and none was carried out twice.
func TestOutage(t *testing.T) {
	dir := t.TempDir()
	h := startHub(t, dir)
	g := newGateway(t, dir, h)
	started := time.Now()

	p := &producer{g: g, accepted: make(map[string]int)}
	c := &commander{h: h, sent: make(map[string]string)}
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { p.run(t) })
	wg.Go(func() { c.run(over) })
	breakThings(t, h, g, p)
	close(over)
	wg.Wait()
	if t.Failed() {
		return
	}
	if err := h.post("/hubsim/faults", `{"kind":"drop-puback","count":1}`, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, 90*time.Second, func() error { return settled(g, c) })
	t.Logf("%d messages accepted in %v with %d kills", len(p.accepted), time.Since(started).Round(time.Second), outageKills)

	// Nothing may come after the record has been read.
	if code := g.process.terminate(t, 20*time.Second); code != 0 {
		t.Errorf("the gateway ended with code %d after SIGTERM", code)
	}
	events := h.events(t)
	judgeAudit(t, h)
	judgeMessages(t, p, events)
	judgeCommands(t, dir, c, events)
}

// breakThings goes on until every message is accepted and all kills are done.
func breakThings(t *testing.T, h *hub, g *gateway, p *producer) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	pause := func(least, most time.Duration) { // the moments are meant to be random
		time.Sleep(least + time.Duration(r.Int64N(int64(most-least))))
	}
	for kills := 0; kills < outageKills || !p.finished(); kills++ {
		if t.Failed() {
			return
		}
		pause(500*time.Millisecond, 2500*time.Millisecond)
		switch kills % 4 {
		case 0:
			h.process.kill()
			pause(200*time.Millisecond, 1500*time.Millisecond)
			h.restart(t)
		case 1:
			h.fault(t, "drop-puback", 20)
		case 2:
			h.fault(t, "kill-before-puback", 3)
		case 3:
			if err := h.post("/hubsim/devices/gw/disconnect", "", nil); err != nil {
				t.Log(err) // it may not be connected just now
			}
		}
		pause(0, 1500*time.Millisecond)
		if kills < outageKills {
			g.process.kill()
			g.start(t)
		}
	}
}

// settled reports whether everything has left the gateway.
func settled(g *gateway, c *commander) error {
	s, err := g.status()
	switch {
	case err != nil:
		return err
	case !s.Upstream.Connected:
		return fmt.Errorf("not connected")
	case s.Commands.Waiting > 0:
		return fmt.Errorf("%d commands under way", s.Commands.Waiting)
	}
	if n, err := c.open(); err != nil || n > 0 {
		return errors.Join(err, fmt.Errorf("%d commands have not reached the gateway", n))
	}
	// The drivers go on, so the queue is hardly ever empty; what waits must be new.
	if w := s.waiting(); w > 50 {
		return fmt.Errorf("%d messages wait", w)
	}
	return nil
}

// producer hands in numbered lines until all are accepted.
type producer struct {
	g        *gateway
	mu       sync.Mutex
	accepted map[string]int // message id → number
	done     bool
}

func (p *producer) finished() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

func (p *producer) run(t *testing.T) {
	const batch = 100
	deadline := time.Now().Add(2 * time.Minute)
	for next := 0; next < outageMessages; {
		if time.Now().After(deadline) {
			t.Errorf("only %d messages were accepted in time", next)
			break
		}
		var lines []string
		for i := next; i < min(next+batch, outageMessages); i++ {
			lines = append(lines, fmt.Sprintf(`{"name":"n","value":%d}`, i))
		}
		answers, err := p.g.ingest(lines)
		for _, a := range answers {
			var answer struct{ ID, Error string }
			if json.Unmarshal([]byte(a), &answer) != nil || answer.ID == "" {
				break // not accepted: this one and those behind it again
			}
			p.mu.Lock()
			p.accepted[answer.ID] = next
			p.mu.Unlock()
			next++
		}
		if err != nil || len(answers) < len(lines) { // the gateway is being restarted
			time.Sleep(20 * time.Millisecond)
		}
	}
	p.mu.Lock()
	p.done = true
	p.mu.Unlock()
}

// commander sends commands as the back end does.
type commander struct {
	h    *hub
	mu   sync.Mutex
	sent map[string]string // id → action
}

func (c *commander) run(over <-chan struct{}) {
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for n := 0; n < outageCommands; {
		select {
		case <-tick.C:
		case <-over:
			return
		}
		id, action, args := fmt.Sprintf("cmd-%d", n), "pulse", `{"ms":5}`
		if n%3 == 0 {
			action, args = "relay", fmt.Sprintf(`{"on":%t}`, n%2 == 0)
		}
		body := fmt.Sprintf(`{"device":"bench","action":%q,"args":%s}`, action, args)
		if err := c.h.sendC2D("gw", id, body); err != nil {
			continue // the hub is away; the back end tries again
		}
		if n%5 == 0 { // a back end that is not sure sends twice
			_ = c.h.sendC2D("gw", id, body)
		}
		c.mu.Lock()
		c.sent[id] = action
		c.mu.Unlock()
		n++
	}
}

// open is the number of commands that the hub has not seen acknowledged.
func (c *commander) open() (int, error) {
	resp, err := c.h.request(http.MethodGet, "/hubsim/commands?device=gw", "", nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var list []struct{ ID, State string }
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		return 0, err
	}
	n := 0
	for _, cmd := range list {
		if cmd.State != "completed" {
			n++
		}
	}
	return n, nil
}

// judgeAudit looks at the hub's own account of sequence numbers.
func judgeAudit(t *testing.T, h *hub) {
	t.Helper()
	resp, err := h.request(http.MethodGet, "/hubsim/audit", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var rows []struct {
		Device, Store, Lane          string
		First, Last, Received        uint64
		Duplicates, Holes, Explained uint64
		OutOfOrder                   uint64 `json:"out_of_order"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) == 0 {
		t.Error("the audit is empty")
	}
	for _, r := range rows {
		t.Logf("lane %s of store %s: %d to %d, %d received, %d duplicates", r.Lane, r.Store, r.First, r.Last, r.Received, r.Duplicates)
		if r.First != 1 || r.Holes != 0 || r.OutOfOrder != 0 || r.Received != r.Last {
			t.Errorf("lane %s: %+v, want no hole and nothing out of order", r.Lane, r)
		}
	}
}

// judgeMessages checks that every accepted line has arrived under its id.
func judgeMessages(t *testing.T, p *producer, events []event) {
	t.Helper()
	if len(p.accepted) < outageMessages {
		t.Errorf("%d messages accepted, want %d", len(p.accepted), outageMessages)
	}
	arrived := make(map[string]json.RawMessage)
	for _, e := range events {
		id := e.System["message-id"]
		if old, twice := arrived[id]; twice && string(old) != string(e.Body) {
			t.Errorf("%s arrived with two bodies", id)
		}
		arrived[id] = e.Body
	}
	missing := 0
	for id, n := range p.accepted {
		body, ok := arrived[id]
		if !ok {
			missing++
			continue
		}
		if !strings.Contains(string(body), fmt.Sprintf(`"value":%d`, n)) {
			t.Errorf("%s holds %s, want value %d", id, body, n)
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d accepted messages have not arrived", missing, len(p.accepted))
	}
}

// judgeCommands checks that each command has exactly one final state and that
// none was carried out twice.
func judgeCommands(t *testing.T, dir string, c *commander, events []event) {
	t.Helper()
	final := make(map[string]string)
	for _, e := range events {
		if e.Properties["kind"] != "result" {
			continue
		}
		var r struct{ Command, Status string }
		if err := json.Unmarshal(e.Body, &r); err != nil {
			t.Fatal(err)
		}
		if old, twice := final[r.Command]; twice && old != r.Status {
			t.Errorf("%s ended as %s and as %s", r.Command, old, r.Status)
		}
		final[r.Command] = r.Status
	}
	times := actuations(t, dir)
	count := make(map[string]int)
	for id, action := range c.sent {
		count[final[id]]++
		switch status := final[id]; {
		case status == "":
			t.Errorf("%s (%s) has no result", id, action)
		case status != "done" && status != "unknown-outcome":
			t.Errorf("%s (%s) ended as %s", id, action, status)
		case action == "pulse" && status == "done" && times[id] != 1:
			t.Errorf("%s is done and was carried out %d times", id, times[id])
		case action == "pulse" && times[id] > 1:
			t.Errorf("%s was carried out %d times", id, times[id])
		}
	}
	t.Logf("%d commands: %v", len(c.sent), count)
	if len(c.sent) < outageCommands/2 {
		t.Errorf("only %d commands were sent", len(c.sent))
	}
}

// actuations counts by command what the simulated board has really done.
func actuations(t *testing.T, dir string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "actuations"))
	if err != nil {
		t.Fatal(err)
	}
	times := make(map[string]int)
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) >= 3 && fields[2] == "pulse" {
			times[fields[1]]++
		}
	}
	return times
}
