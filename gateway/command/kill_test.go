package command_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/command"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/storeforward"
)

// The environment that tells the test binary to be the gateway that gets killed: where
// its store is, and at which step of its work it kills itself, "name n" for the n-th
// time; "" is never.
const (
	killDir  = "COMMAND_KILL_DIR"
	killStep = "COMMAND_KILL_STEP"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		if err := mortal(dir, os.Getenv(killStep)); err != nil {
			fmt.Println("!", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	os.Exit(m.Run())
}

// steps are those on the way of a command, in order.
var steps = []string{
	"received", "journalled", "acked", // by the intake
	"begins", "begun", // Start
	"acts", "acted", // on either side of the moment at which something has moved
	"ends", "ended", // Finish
	"sent", "settled", // of the result
}

// reaper kills this process at one step.
type reaper struct {
	name string
	n    int

	mu    sync.Mutex
	count int
}

func (r *reaper) step(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name != r.name {
		return
	}
	if r.count++; r.count == r.n {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// marked is the journal with its steps.
type marked struct {
	*storeforward.Journal
	*reaper
}

func (m marked) Begin(ctx context.Context, cmd gateway.Command) (gateway.Entry, bool, error) {
	m.step("received")
	e, first, err := m.Journal.Begin(ctx, cmd)
	m.step("journalled")
	return e, first, err
}

func (m marked) Start(ctx context.Context, id string) error {
	m.step("begins")
	err := m.Journal.Start(ctx, id)
	m.step("begun")
	return err
}

func (m marked) Finish(ctx context.Context, r gateway.Result, out ...gateway.Message) error {
	m.step("ends")
	err := m.Journal.Finish(ctx, r, out...)
	m.step("ended")
	return err
}

// recorder is a device that writes down durably what it does, when it does it.
type recorder struct {
	*reaper
	file *os.File
}

func (recorder) Actions() []gateway.Action {
	return []gateway.Action{{Name: "pulse"}, {Name: "set", Idempotent: true}}
}

func (r recorder) Do(_ context.Context, cmd gateway.Command) (map[string]any, error) {
	r.step("acts")
	_, err := fmt.Fprintln(r.file, cmd.ID)
	err = errors.Join(err, r.file.Sync())
	r.step("acted")
	return nil, err
}

// mortal is a gateway whose hub is on stdin and stdout: a command a line in; "acked
// id" and "sent id body" out. It ends when stdin has ended and all is done.
func mortal(dir, step string) error {
	r := &reaper{}
	_, _ = fmt.Sscan(step, &r.name, &r.n)
	o := storeforward.Defaults(filepath.Join(dir, "queue"))
	o.MinFree, o.CommitAge, o.JournalEntries = storeforward.MinMinFree, 0, 1<<20
	o.Clock = clock.NewSystem(time.Time{})
	q, err := storeforward.Open(o)
	if err != nil {
		return err
	}
	actuators := make(map[gateway.DeviceID]gateway.Actuator)
	for _, id := range []gateway.DeviceID{"pump", "fan", "valve"} {
		file, err := os.OpenFile(filepath.Join(dir, string(id)), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		actuators[id] = recorder{r, file}
	}
	d, err := command.NewDispatcher(command.Options{
		Journal: marked{q.Journal(), r}, Queue: q, Clock: o.Clock, Devices: command.Devices{Actuators: actuators, MaxWaiting: 32},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var parts sync.WaitGroup
	parts.Go(func() { _ = d.Run(ctx) })
	parts.Go(func() { deliver(ctx, q, r) })
	arrivals := uplink.Intake{Inbox: command.NewInbox(d), Log: slog.New(slog.DiscardHandler)}.Begin(ctx)
	if err := takeAll(arrivals, r); err != nil {
		return err
	}
	for !idle(d, q) {
		time.Sleep(time.Millisecond)
	}
	cancel()
	arrivals.Wait()
	parts.Wait()
	return q.Close()
}

func takeAll(arrivals *uplink.Arrivals, r *reaper) error {
	var open sync.WaitGroup
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var cmd gateway.Command
		if err := json.Unmarshal(lines.Bytes(), &cmd); err != nil {
			return err
		}
		open.Add(1)
		arrivals.Take(uplink.Arrival{Command: cmd, Raw: slices.Clone(lines.Bytes()), Ack: func() {
			say("acked", cmd.ID)
			r.step("acked")
			open.Done()
		}})
	}
	open.Wait()
	return nil
}

func deliver(ctx context.Context, q *storeforward.Queue, r *reaper) {
	for {
		m, err := q.Next(ctx)
		if err != nil {
			return
		}
		if m.Kind == gateway.KindResult {
			say("sent", m.ID.String(), string(m.Body))
		}
		r.step("sent")
		if err := q.Ack(m.ID); err != nil {
			say("!", err.Error())
		}
		r.step("settled")
	}
}

var out sync.Mutex

func say(words ...string) {
	out.Lock()
	defer out.Unlock()
	fmt.Println(strings.Join(words, " "))
}

func idle(d *command.Dispatcher, q *storeforward.Queue) bool {
	if d.Stats().Waiting > 0 || slices.ContainsFunc(d.Stats().Devices, func(s command.DeviceStats) bool { return s.Running != nil }) {
		return false
	}
	return !slices.ContainsFunc(q.Stats().Lanes, func(l storeforward.LaneStats) bool { return l.Waiting > 0 && l.Lane != gateway.LaneDeadLetter })
}

// backend sends commands, again until they are acknowledged, and keeps what it is
// told.
type backend struct {
	dir     string
	sent    int
	unacked []gateway.Command
	// results are the first deliveries, by the id of the message.
	results map[string]gateway.Result
	kills   map[string]int
}

// TestKill9AtEachStep kills a gateway with -9 at each step of the way of its commands,
// again and again. Each command ends in one final state that is told by one message;
// what cannot be repeated is never done twice. COMMAND_KILL_ROUNDS sets how often.
func TestKill9AtEachStep(t *testing.T) {
	rounds := len(steps)
	if n, err := strconv.Atoi(os.Getenv("COMMAND_KILL_ROUNDS")); err == nil {
		rounds = n
	}
	b := &backend{dir: t.TempDir(), results: make(map[string]gateway.Result), kills: make(map[string]int)}
	for round := range rounds {
		name := steps[round%len(steps)]
		b.live(t, fmt.Sprint(name, " ", 1+rand.IntN(60)))
		if t.Failed() {
			t.Fatalf("in round %d, step %s", round, name)
		}
	}
	for len(b.unacked) > 0 || b.kills[""] < 2 { // the second one finds nothing to do
		b.live(t, "")
	}
	b.judge(t)
	t.Logf("%d rounds, killed at %v; %d commands", rounds, b.kills, b.sent)
}

// perLife is how many commands there are for one life of the gateway.
const perLife = 60

// live is one life of the gateway. It gets what it has not acknowledged, and more.
func (b *backend) live(t *testing.T, step string) {
	t.Helper()
	for step != "" && len(b.unacked) < perLife {
		b.unacked = append(b.unacked, b.order())
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killDir+"="+b.dir, killStep+"="+step)
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	delivered := make(chan struct{})
	go func() {
		defer close(delivered)
		defer in.Close()
		enc := json.NewEncoder(in)
		for i, cmd := range slices.Clone(b.unacked) {
			if enc.Encode(cmd) != nil {
				return
			}
			if i%10 == 0 && enc.Encode(cmd) != nil { // a hub that is not sure
				return
			}
		}
	}()
	acked := b.hear(t, out)
	<-delivered
	b.unacked = slices.DeleteFunc(b.unacked, func(c gateway.Command) bool { return acked[c.ID] })
	switch err := cmd.Wait(); {
	case err == nil:
		b.kills[""]++
	case strings.Contains(err.Error(), "killed"):
		b.kills[strings.Fields(step)[0]]++
	default:
		t.Errorf("the gateway has ended: %v", err)
	}
}

// order is the next command.
func (b *backend) order() gateway.Command {
	b.sent++
	cmd := gateway.Command{ID: fmt.Sprintf("c%06d", b.sent), Action: "pulse", Origin: gateway.OriginC2D}
	cmd.Device = []gateway.DeviceID{"pump", "fan", "valve"}[rand.IntN(3)]
	if b.sent%3 == 0 {
		cmd.Action = "set"
	}
	if b.sent%20 == 0 {
		cmd.Device = "nobody"
	}
	return cmd
}

func (b *backend) hear(t *testing.T, out io.Reader) (acked map[string]bool) {
	t.Helper()
	acked = make(map[string]bool)
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err != nil { // and a line that is torn
			return acked
		}
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "acked":
			acked[rest] = true
		case "sent":
			id, body, _ := strings.Cut(rest, " ")
			var r gateway.Result
			if err := json.Unmarshal([]byte(body), &r); err != nil {
				t.Errorf("%q: %v", line, err)
			}
			if old, again := b.results[id]; again && fmt.Sprint(old) != fmt.Sprint(r) {
				t.Errorf("message %s says %v and %v", id, old, r)
			}
			b.results[id] = r
		default:
			t.Error(line)
		}
	}
}

func (b *backend) judge(t *testing.T) {
	t.Helper()
	told := make(map[string][]gateway.Result)
	for _, r := range b.results {
		if !r.Repeated {
			told[r.CommandID] = append(told[r.CommandID], r)
		}
	}
	acts := make(map[string]int)
	for _, device := range []string{"pump", "fan", "valve"} {
		b.count(t, device, acts)
	}
	journal := b.journal(t)
	states := make(map[gateway.Status]int)
	for n := 1; n <= b.sent; n++ {
		id := fmt.Sprintf("c%06d", n)
		e, results := journal[id], told[id]
		if e.Result == nil || len(results) != 1 || results[0].Status != e.Result.Status {
			t.Errorf("%s: journal %+v, told %+v", id, e.Result, results)
			continue
		}
		states[e.Result.Status]++
		idempotent := n%3 == 0
		switch status := e.Result.Status; {
		case !idempotent && acts[id] > 1:
			t.Errorf("%s was done %d times", id, acts[id])
		case status == gateway.StatusDone && acts[id] == 0, status == gateway.StatusDenied && acts[id] > 0:
			t.Errorf("%s is %s and was done %d times", id, status, acts[id])
		case (status == gateway.StatusDenied) != (n%20 == 0), status == gateway.StatusUnknownOutcome && idempotent, status == gateway.StatusFailed, status == gateway.StatusExpired:
			t.Errorf("%s is %s: %s", id, status, e.Result.Detail)
		}
	}
	t.Logf("%v", states)
}

// count reads what a device has done; first times are in the order of the commands.
func (b *backend) count(t *testing.T, device string, acts map[string]int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, device))
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for _, id := range strings.Fields(string(text)) {
		if acts[id]++; acts[id] == 1 && id < last {
			t.Errorf("%s has done %s after %s", device, id, last)
		}
		last = max(last, id)
	}
}

func (b *backend) journal(t *testing.T) map[string]gateway.Entry {
	t.Helper()
	o := storeforward.Defaults(filepath.Join(b.dir, "queue"))
	o.MinFree, o.JournalEntries, o.Clock = storeforward.MinMinFree, 1<<20, clock.NewSystem(time.Time{})
	q, err := storeforward.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]gateway.Entry)
	err = q.Journal().Walk(t.Context(), func(e gateway.Entry) bool {
		if _, twice := all[e.Command.ID]; twice {
			t.Errorf("%s is twice in the journal", e.Command.ID)
		}
		all[e.Command.ID] = e
		return true
	})
	if err := errors.Join(err, q.Close()); err != nil {
		t.Fatal(err)
	}
	return all
}
