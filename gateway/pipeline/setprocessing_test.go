package pipeline_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// changing is a stream that says what the test puts into values, and its runner.
type changing struct {
	*pipeline.Runner
	values chan []gateway.Reading
	sink   tray
	queue  queue // of alerts
	board  *health.Board
	stop   func() error
}

func newChanging(t *testing.T, p pipeline.Processing) *changing {
	t.Helper()
	c := &changing{values: make(chan []gateway.Reading), board: newBoard()}
	b := newBatcher(t, &c.queue, pipeline.BatcherOptions{Lane: gateway.LaneAlerts})
	s := &stream{run: func(ctx context.Context, to gateway.Sink, _ int) error {
		for {
			select {
			case readings := <-c.values:
				if err := to.Emit(ctx, readings...); err != nil {
					return err
				}
			case <-ctx.Done():
				return nil
			}
		}
	}}
	var err error
	c.Runner, err = pipeline.NewRunner(pipeline.RunnerOptions{
		Device: "air", Stream: s, Sink: &c.sink, Alerts: b, AlertMemory: &card{}, Clock: wall{}, Health: c.board, Processing: p,
	})
	if err != nil {
		t.Fatal(err)
	}
	stopBatcher, stop := running(b.Run), running(c.Run)
	c.stop = func() error { return errors.Join(stop(), stopBatcher()) }
	return c
}

func (c *changing) say(name string, value float64) {
	c.values <- []gateway.Reading{{Name: name, Value: gateway.Number(value)}}
	synctest.Wait()
}

func (c *changing) set(t *testing.T, p pipeline.Processing) {
	t.Helper()
	if err := c.SetProcessing(p); err != nil {
		t.Error(err)
	}
	synctest.Wait()
}

// covered are the numbers that readings stand for, a window from its min to its max.
func covered(readings []gateway.Reading) (numbers []int) {
	from := 0
	for _, r := range readings {
		x, _ := r.Value.Number()
		switch r.Name {
		case "n":
			numbers = append(numbers, int(x))
		case "n.min":
			from = int(x)
		case "n.max":
			for ; from <= int(x); from++ {
				numbers = append(numbers, from)
			}
		}
	}
	return numbers
}

// TestChangesOfProcessingLoseNothing, double nothing and keep the order, whenever
// they come.
func TestChangesOfProcessingLoseNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		window := func(every time.Duration) pipeline.Processing {
			return pipeline.Processing{Window: map[string]pipeline.Window{"n": {Every: every, Of: []string{"min", "max", "count"}}}}
		}
		plans := []pipeline.Processing{
			{},
			window(7 * time.Second), window(time.Minute),
			{Deadband: map[string]string{"n": "0"}, Heartbeat: time.Hour},
			{RateLimit: map[string]time.Duration{"n": time.Second}},
		}
		c := newChanging(t, plans[2])
		const all = 2000
		done := make(chan struct{})
		go func() {
			defer close(done)
			for n := 1; n <= all; n++ {
				c.values <- []gateway.Reading{{Name: "n", Value: gateway.Number(float64(n))}}
				time.Sleep(time.Second)
			}
		}()
		for range 300 {
			time.Sleep(rand.N(10 * time.Second))
			if err := c.SetProcessing(plans[rand.N(len(plans))]); err != nil {
				t.Error(err)
			}
		}
		<-done
		if err := c.stop(); err != nil {
			t.Error(err)
		}
		for i, n := range covered(c.sink.got()) {
			if n != i+1 {
				t.Fatalf("%d came in place of %d", n, i+1)
			}
		}
		did := c.Stats().Processing
		if n := len(covered(c.sink.got())); n != all || did.Taken != all || did.Taken+did.Summaries != did.Sent+did.Windowed || int(did.Sent) != len(c.sink.got()) {
			t.Errorf("%d came, %d sent, %+v", n, len(c.sink.got()), did)
		}
	})
}

// A rate limit holds the last value: a change lets go of it, before what comes after.
func TestChangeOfProcessingLetsGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newChanging(t, pipeline.Processing{RateLimit: map[string]time.Duration{"n": time.Hour}})
		for n := range 5 {
			c.say("n", float64(n))
		}
		band := map[string]string{"n": "2"}
		c.set(t, pipeline.Processing{Deadband: band, Heartbeat: time.Hour})
		c.say("n", 5)
		c.set(t, pipeline.Processing{Deadband: band, Heartbeat: 2 * time.Hour})
		c.say("n", 6)
		c.say("n", 8)
		if got := strings.Join(c.sink.values(), " "); got != "n=0 n=4 n=5 n=8" {
			t.Errorf("sent %s", got)
		}
		if err := c.stop(); err != nil {
			t.Error(err)
		}
	})
}

// told is what the alerts say since it was last asked.
func (c *changing) told() string {
	g := greenhouse{queue: queue{messages: c.queue.got()}}
	c.queue.mu.Lock()
	defer c.queue.mu.Unlock()
	c.queue.messages = nil
	return g.told()
}

// TestAlertsOverChangesOfProcessing: one that stands is not told again, one without
// its rule has ended, and what has begun to hold goes on to hold.
func TestAlertsOverChangesOfProcessing(t *testing.T) {
	rules := func(all ...pipeline.AlertRule) pipeline.Processing { return pipeline.Processing{Alerts: all} }
	hot := pipeline.AlertRule{ID: "hot", When: "t > 30"}
	hotter := pipeline.AlertRule{ID: "hot", When: "t > 40"}
	slow := pipeline.AlertRule{ID: "slow", When: "t > 30", For: time.Minute}
	sticky := pipeline.AlertRule{ID: "hot", When: "t > 30", Until: "t < 20"}
	both := pipeline.AlertRule{ID: "both", When: "t > 30 and h > 80"}
	renamed := pipeline.AlertRule{ID: "hot", When: "t > 30", Text: "It is hot."}
	type step struct {
		do   any // a value of t, a processing, or a time that passes
		want string
	}
	for name, steps := range map[string][]step{
		"unchanged":          {{35.0, "hot true"}, {rules(hot, slow), ""}, {36.0, ""}, {20.0, "hot false"}},
		"other words":        {{35.0, "hot true"}, {rules(renamed), ""}, {20.0, "hot false"}},
		"gone":               {{35.0, "hot true"}, {rules(), "hot false"}, {35.0, ""}, {rules(hot), "hot true"}},
		"higher limit":       {{35.0, "hot true"}, {rules(hotter), "hot false"}, {rules(hot), "hot true"}, {rules(sticky), ""}, {25.0, ""}, {19.0, "hot false"}},
		"known before":       {{rules(), ""}, {35.0, ""}, {rules(hot), "hot true"}},
		"holds on":           {{rules(slow), ""}, {35.0, ""}, {50 * time.Second, ""}, {rules(slow, hot), "hot true"}, {11 * time.Second, "slow true"}},
		"judged anew":        {{rules(slow), ""}, {35.0, ""}, {50 * time.Second, ""}, {rules(pipeline.AlertRule{ID: "slow", When: "t >= 30", For: time.Minute}), ""}, {11 * time.Second, ""}, {time.Minute, "slow true"}},
		"by time alone":      {{rules(), ""}, {35.0, ""}, {rules(slow), ""}, {59 * time.Second, ""}, {2 * time.Second, "slow true"}},
		"not of old values":  {{35.0, "hot true"}, {rules(), "hot false"}, {20.0, ""}, {rules(hot), ""}, {rules(), ""}, {35.0, ""}, {rules(hot), "hot true"}},
		"of several":         {{rules(both), ""}, {35.0, ""}, {rules(hot, both), "hot true"}},
		"nothing known":      {{rules(slow), ""}, {rules(hot), ""}, {31.0, "hot true"}},
		"not while it is on": {{35.0, "hot true"}, {rules(hot), ""}, {rules(hot), ""}, {time.Hour, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newChanging(t, rules(hot))
				for i, s := range steps {
					switch do := s.do.(type) {
					case float64:
						c.say("t", do)
					case pipeline.Processing:
						c.set(t, do)
					case time.Duration:
						time.Sleep(do)
						synctest.Wait()
					}
					if got := c.told(); got != s.want {
						t.Errorf("step %d: told %q, want %q", i, got, s.want)
					}
				}
				if err := c.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// What was derived goes on to be derived, from what the old chain had of it.
func TestDerivedOverChangesOfProcessing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := pipeline.Processing{Derive: map[string]pipeline.Derivation{"sum": {Value: "a + b", MaxAge: time.Minute}}}
		c := newChanging(t, p)
		c.say("a", 1)
		time.Sleep(30 * time.Second)
		p.Deadband, p.Heartbeat = map[string]string{"a": "change"}, time.Hour
		c.set(t, p)
		c.say("b", 2)
		c.set(t, pipeline.Processing{Derive: p.Derive})
		c.say("b", 3)
		time.Sleep(31 * time.Second) // a is too old now, whatever was set meanwhile
		c.set(t, p)
		c.say("b", 4)
		c.set(t, pipeline.Processing{})
		c.say("a", 5)
		c.set(t, p) // nobody knows how old they are
		c.say("b", 6)
		if got := strings.Join(c.sink.values(), " "); got != "a=1 b=2 sum=3 b=3 sum=4 b=4 a=5 b=6" {
			t.Errorf("sent %s", got)
		}
		if err := c.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A problem is stated anew only if it is still one; what has come before counts as
// known.
func TestProblemsOverChangesOfProcessing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newChanging(t, pipeline.Processing{})
		c.say("rare", 1)
		c.say("q", math.NaN())
		if condition(c.board, "processing:air") == "" {
			t.Error("no condition")
		}
		c.set(t, pipeline.Processing{Deadband: map[string]string{"rare": "1", "q": "1"}, Heartbeat: time.Hour})
		if text := condition(c.board, "processing:air"); text != "" {
			t.Errorf("condition %s", text)
		}
		for range 5 {
			c.say("q", 1)
			time.Sleep(time.Minute)
		}
		if text := condition(c.board, "processing:air"); text != "" {
			t.Errorf("condition %s", text)
		}
		if err := c.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestFaultyChangeOfProcessing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sink := &tray{}
		s := &sensor{read: func(context.Context, int) ([]gateway.Reading, error) { return []gateway.Reading{reading("q")}, nil }}
		p := processed(t, s, sink, func(*pipeline.PollerOptions) {})
		change := pipeline.Processing{Deadband: map[string]string{"q": "change"}, Heartbeat: time.Hour}
		if err := p.SetProcessing(change); err != nil { // before Run
			t.Error(err)
		}
		stop := running(p.Run)
		time.Sleep(10 * every)
		if n := len(sink.got()); n != 1 {
			t.Errorf("%d sent", n)
		}
		for _, faulty := range []pipeline.Processing{
			{Deadband: map[string]string{"q": "some"}}, {Alerts: []pipeline.AlertRule{{ID: "a", When: "q > 0"}}},
		} {
			if err := p.SetProcessing(faulty); err == nil {
				t.Errorf("took %+v", faulty)
			}
		}
		time.Sleep(10 * every)
		if err := errors.Join(stop(), p.SetProcessing(pipeline.Processing{})); err != nil || len(sink.got()) != 1 {
			t.Errorf("%v, %d sent", err, len(sink.got()))
		}
		if !slices.Equal(sink.values(), []string{"q=1"}) {
			t.Errorf("sent %v", sink.values())
		}
	})
}

// What a stream commits is counted once, whichever chain has made it true.
func TestCommitsOverChangesOfProcessing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const all = 500
		sink := &keeper{}
		done := make(chan struct{})
		s := &stream{run: func(ctx context.Context, to gateway.Sink, _ int) error {
			defer close(done)
			for n := range all {
				if _, err := to.Commit(ctx, []gateway.Reading{{Name: "n", Value: gateway.Number(float64(n))}}); err != nil {
					return err
				}
				time.Sleep(rand.N(time.Second))
			}
			<-ctx.Done()
			return nil
		}}
		r, err := pipeline.NewRunner(pipeline.RunnerOptions{Device: "air", Stream: s, Sink: sink, Clock: wall{}, Health: newBoard()})
		if err != nil {
			t.Fatal(err)
		}
		stop := running(r.Run)
		most := float64(all) / 2
		for i := range 2 * all {
			change := pipeline.Processing{}
			if i%2 == 0 {
				change.ValidRange = map[string]pipeline.ValidRange{"n": {Max: &most, Outside: "drop"}}
			}
			if err := r.SetProcessing(change); err != nil {
				t.Error(err)
			}
			time.Sleep(rand.N(time.Second))
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		<-done
		bad := 0
		for n, batch := range sink.batches {
			if batch[0].Value != gateway.Number(float64(n)) {
				t.Errorf("%v came in place of %d", batch[0].Value, n)
			}
			if batch[0].Quality == gateway.Bad {
				bad++
			}
		}
		did := r.Stats().Processing
		if want := (pipeline.ProcessingStats{Taken: all, Sent: all, Bad: uint64(bad)}); len(sink.batches) != all || did != want || bad == 0 {
			t.Errorf("%d batches, %+v, want %+v", len(sink.batches), did, want)
		}
	})
}
