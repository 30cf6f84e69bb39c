package trials

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/storeforward"
	"github.com/fieldpost/fieldpost/storeforward/trials/disk"
)

// The environment that tells the test binary to be the gateway whose disk is
// tormented, or to tell what its store holds. Both map files of the disk into
// memory, which the process that serves the disk must not: it would wait for
// itself.
const (
	writerDir = "STOREFORWARD_TRIAL_WRITE"
	tellerDir = "STOREFORWARD_TRIAL_TELL"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerDir); dir != "" {
		write(dir)
		os.Exit(1)
	}
	if dir := os.Getenv(tellerDir); dir != "" {
		if err := tell(dir, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	disk.Apart()
	os.Exit(m.Run())
}

// lanes are filled by one producer each. The last is only marked in.
var lanes = []gateway.Lane{gateway.LaneTelemetry, gateway.LaneAlerts}

// boardClock is that of a board with a trusted clock.
type boardClock struct{}

var booted = time.Now()

func (boardClock) Now() time.Time        { return time.Now() }
func (boardClock) Trusted() bool         { return true }
func (boardClock) Uptime() time.Duration { return time.Since(booted) }
func (boardClock) Boot() string          { return "trial" }

func options(dir string) storeforward.Options {
	o := storeforward.Defaults(dir)
	o.Clock = boardClock{}
	o.CommitAge, o.MaxBytes, o.MinFree = 0, storeforward.MinMaxBytes, storeforward.MinMinFree
	o.JournalEntries = 100_000
	o.Lanes = map[gateway.Lane]storeforward.LaneOptions{gateway.LaneTelemetry: {MaxMessages: 3000}, "marks": {}}
	return o
}

// body is what message seq of a lane must hold; it does not shrink.
func body(lane gateway.Lane, seq uint64) string {
	r := rand.New(rand.NewPCG(seq, uint64(len(lane))))
	data := make([]byte, 50+r.IntN(400))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return fmt.Sprintf("%s %d %s", lane, seq, base64.StdEncoding.EncodeToString(data))
}

// speaker says on stdout what the writer has been promised:
//
//	store id            the store is open
//	+ lane seq          all up to this message are durable
//	- lane seq          it was handed out, and is being acknowledged
//	= lane seq          its acknowledgement is on disk
//	gap lane first last is explained
//	old lane seq        it was handed out, and an earlier store had accepted it
//	salvaged            all that could be read of earlier stores is brought over
//	command n id        its entry in the journal has come to state n: see states
//	result id           the message that reports it was handed out
//	refused text        an append was refused, for a reason
//	! text              a promise was broken
type speaker struct{ mu sync.Mutex }

func (s *speaker) say(format string, v ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(os.Stdout, strings.ReplaceAll(fmt.Sprintf(format, v...), "\n", " "))
}

// write appends and drains until it is killed. What is refused is tried again.
func write(dir string) {
	s := &speaker{}
	q, err := storeforward.Open(options(dir))
	for err != nil {
		s.say("refused open: %v", err)
		if errors.Is(err, storeforward.ErrDamaged) {
			s.say("! damaged: %v", err)
			return
		}
		time.Sleep(50 * time.Millisecond)
		q, err = storeforward.Open(options(dir))
	}
	s.say("store %s", q.Store())
	for _, lane := range lanes {
		go produce(q, lane, s)
	}
	go command(q, s)
	go drain(q, s)
	go tellSalvage(q, s)
	// Whoever started this closes our stdin for an orderly end.
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := q.Close(); err != nil {
		s.say("refused close: %v", err)
	}
	os.Exit(0)
}

func produce(q *storeforward.Queue, lane gateway.Lane, s *speaker) {
	next := uint64(1)
	for _, l := range q.Stats().Lanes {
		if l.Lane == lane && l.Store == q.Store() {
			next = l.Next
		}
	}
	for {
		batch := make([]gateway.Message, 1+rand.IntN(30))
		for i := range batch {
			batch[i] = gateway.Message{
				ID: gateway.MessageID{Lane: lane}, Kind: gateway.KindTelemetry,
				ContentType: "text/plain", Body: []byte(body(lane, next+uint64(i))),
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		ids, err := q.Append(ctx, batch...)
		cancel()
		switch {
		case errors.Is(err, storeforward.ErrClosed):
			return
		case err != nil:
			s.say("refused append: %v; problem: %s", err, q.Stats().Problem)
			time.Sleep(20 * time.Millisecond)
			continue
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

func drain(q *storeforward.Queue, s *speaker) {
	var acked []gateway.MessageID
	for {
		m, err := q.Next(context.Background())
		if errors.Is(err, storeforward.ErrClosed) {
			return
		}
		if err != nil {
			s.say("refused next: %v", err)
			time.Sleep(20 * time.Millisecond)
			continue
		}
		var g gateway.Gap
		switch {
		case m.Kind == gateway.KindGap && json.Unmarshal(m.Body, &g) == nil:
			s.say("gap %s %d %d", g.Lane, g.First, g.Last)
		case m.ID.Lane == "marks":
		case m.ID.Lane == gateway.LaneResults:
			s.say("result %s", m.Body)
		case string(m.Body) != body(m.ID.Lane, m.ID.Seq):
			s.say("! %s holds %.40q", m.ID, m.Body)
			return
		case m.ID.Store != q.Store():
			s.say("old %s %d", m.ID.Lane, m.ID.Seq)
		default:
			s.say("- %s %d", m.ID.Lane, m.ID.Seq)
			if m.ID.Seq%2 == 0 {
				time.Sleep(time.Millisecond) // so that a backlog builds up
			}
		}
		if err := q.Ack(m.ID); err != nil {
			s.say("! ack: %v", err)
			return
		}
		if acked = append(acked, m.ID); len(acked) < 20 {
			continue
		}
		// What is written after an acknowledgement takes it along.
		mark := gateway.Message{ID: gateway.MessageID{Lane: "marks"}, Body: []byte("mark")}
		if _, err := q.Append(context.Background(), mark); err == nil {
			for _, id := range acked {
				if id.Store == q.Store() {
					s.say("= %s %d", id.Lane, id.Seq)
				}
			}
			acked = acked[:0]
		}
	}
}

// command has commands journalled and reports how far each has come.
func command(q *storeforward.Queue, s *speaker) {
	j, ctx := q.Journal(), context.Background()
	run := rand.Uint32()
	for n := 0; ; n++ {
		id := fmt.Sprintf("%08x-%d", run, n)
		report := gateway.Message{ID: gateway.MessageID{Lane: gateway.LaneResults}, Kind: gateway.KindResult, Body: []byte(id)}
		for state, step := range []func() error{
			func() error {
				_, _, err := j.Begin(ctx, gateway.Command{ID: id, Device: "relay", Action: "on"})
				return err
			},
			func() error { return j.Start(ctx, id) },
			func() error {
				return j.Finish(ctx, gateway.Result{CommandID: id, Status: gateway.StatusDone}, report)
			},
		} {
			if err := step(); err != nil {
				s.say("refused command: %v", err)
				time.Sleep(20 * time.Millisecond)
				break
			}
			s.say("command %d %s", state+1, id)
			time.Sleep(rand.N(5 * time.Millisecond))
		}
	}
}

// tellSalvage says when nothing is left to be brought over.
func tellSalvage(q *storeforward.Queue, s *speaker) {
	for {
		if report := q.Stats().Salvage; report == nil || !report.Done.IsZero() {
			s.say("salvaged")
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
