package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// card is a memory in memory.
type card struct {
	fail error

	mu    sync.Mutex
	data  []byte
	saves int
}

func (c *card) Load() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.data), c.fail
}

func (c *card) Save(data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(data) > 4<<10 {
		return errors.New("too much")
	}
	c.data = bytes.Clone(data)
	c.saves++
	return c.fail
}

// greenhouse is a gateway with alerts that is started again and again.
type greenhouse struct {
	card  card
	queue queue
	rules []pipeline.AlertRule
}

// run lets one gateway live, which reads these values, a minute each.
func (g *greenhouse) run(t *testing.T, temperatures ...float64) {
	t.Helper()
	b := newBatcher(t, &g.queue, pipeline.BatcherOptions{Lane: gateway.LaneAlerts})
	stopBatcher := running(b.Run)
	s := &stream{run: func(ctx context.Context, to gateway.Sink, _ int) error {
		for _, x := range temperatures {
			if err := to.Emit(ctx, gateway.Reading{Name: "temperature", Value: gateway.Number(x)}); err != nil {
				return err
			}
			time.Sleep(time.Minute)
		}
		<-ctx.Done()
		return nil
	}}
	r, err := pipeline.NewRunner(pipeline.RunnerOptions{
		Device: "air", Stream: s, Sink: &tray{}, Alerts: b, AlertMemory: &g.card, Clock: wall{}, Health: newBoard(),
		Processing: pipeline.Processing{Alerts: g.rules},
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := running(r.Run)
	time.Sleep(time.Hour)
	synctest.Wait()
	if err := errors.Join(stop(), stopBatcher()); err != nil {
		t.Error(err)
	}
}

// told is what the queue has, and forgets it.
func (g *greenhouse) told() string {
	var list []string
	for _, m := range g.queue.got() {
		body := string(m.Body)
		id, rest, _ := strings.Cut(strings.SplitN(body, `"id":"`, 2)[1], `"`)
		list = append(list, id+" "+fmt.Sprint(strings.Contains(rest, `"active":true`)))
	}
	g.queue.messages = nil
	return strings.Join(list, ", ")
}

// TestAlertsAreToldOnceOverRestarts, and their ends are not forgotten.
func TestAlertsAreToldOnceOverRestarts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hot := pipeline.AlertRule{ID: "hot", When: "temperature > 35", Until: "temperature < 33"}
		cold := pipeline.AlertRule{ID: "cold", When: "temperature < 5", For: 2 * time.Minute}
		g := &greenhouse{rules: []pipeline.AlertRule{hot, cold}}
		for i, life := range []struct {
			values []float64
			want   string
		}{
			{[]float64{36}, "hot true"},
			{[]float64{37, 34}, ""}, // still
			{nil, ""},
			{[]float64{34}, ""},
			{[]float64{20}, "hot false"}, // it ended while nobody looked
			{[]float64{20, 0}, "cold true"},
			{[]float64{0, 36}, "hot true, cold false"},
			{[]float64{36, 20, 36}, "hot false, hot true"},
		} {
			g.run(t, life.values...)
			if got := g.told(); got != life.want {
				t.Errorf("life %d: told %q, want %q", i, got, life.want)
			}
		}
		saves := g.card.saves
		g.rules = []pipeline.AlertRule{cold} // nobody asks for hot any more
		g.run(t, 36)
		if got := g.told(); got != "hot false" || g.card.saves != saves+1 {
			t.Errorf("without its rule: told %q, saved %d times", got, g.card.saves-saves)
		}
	})
}

// TestAlertThatIsNotDurableIsToldAgain: the queue has refused it until the stop.
func TestAlertThatIsNotDurableIsToldAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := &greenhouse{rules: []pipeline.AlertRule{{ID: "hot", When: "temperature > 35"}}}
		g.queue.before = func(context.Context, []gateway.Message) error { return gateway.ErrFull }
		b := newBatcher(t, &g.queue, pipeline.BatcherOptions{Lane: gateway.LaneAlerts})
		stop := running(b.Run)
		stored := false
		if err := b.Alert(t.Context(), gateway.Alert{Device: "air", ID: "hot", Active: true}, func() { stored = true }); err != nil {
			t.Fatal(err)
		}
		if err := stop(); err == nil || stored {
			t.Errorf("the stop says %v; stored %v", err, stored)
		}
		g.queue.before = nil
		g.run(t, 36)
		if got := g.told(); got != "hot true" {
			t.Errorf("told %q", got)
		}
	})
}

// TestMemoryOfAlertsThatFails, or is no use, costs nothing but a repetition.
func TestMemoryOfAlertsThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := &greenhouse{rules: []pipeline.AlertRule{{ID: "hot", When: "temperature > 35"}}}
		g.card.fail = errBroken
		g.run(t, 36)
		g.card.fail = nil
		g.card.data = []byte("[{nonsense")
		g.run(t, 36)
		g.run(t, 36)
		if got := g.told(); got != "hot true, hot true" {
			t.Errorf("told %q", got)
		}
	})
}
