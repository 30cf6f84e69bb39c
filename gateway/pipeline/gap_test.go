package pipeline_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// TestGapStandsWhereReadingsAreMissing: between what came before and after, with the
// numbers of both.
func TestGapStandsWhereReadingsAreMissing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := &queue{}
		b := newBatcher(t, q, pipeline.BatcherOptions{})
		s := &stream{run: func(ctx context.Context, to gateway.Sink, _ int) error {
			for _, seq := range []uint64{4, 7} {
				if err := to.Emit(ctx, gateway.Reading{Name: "q", Value: gateway.Number(1), Seq: seq}); err != nil {
					t.Error(err)
				}
				if seq == 4 {
					if err := to.Gap(ctx, gateway.Gap{First: 5, Last: 6, Count: 2, Reason: gateway.GapLink}); err != nil {
						t.Error(err)
					}
				}
			}
			<-ctx.Done()
			return nil
		}}
		stopBatcher, stop := running(b.Run), running(newRunner(t, s, b, newBoard()).Run)
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if err := stopBatcher(); err != nil {
			t.Error(err)
		}
		all := q.got()
		if len(all) != 3 || !strings.Contains(string(all[0].Body), `"seq":4`) || !strings.Contains(string(all[2].Body), `"seq":7`) {
			t.Fatalf("%d messages: %s", len(all), all)
		}
		var g gateway.Gap
		if err := json.Unmarshal(all[1].Body, &g); err != nil || all[1].Kind != gateway.KindGap {
			t.Fatalf("%s (%v)", all[1].Body, err)
		}
		if g.Device != "gps" || g.First != 5 || g.Last != 6 || g.Count != 2 || g.Reason != gateway.GapLink || g.Time.IsZero() || g.Store != "" {
			t.Errorf("%+v", g)
		}
		if stats := b.Stats(); stats.Readings != 2 {
			t.Errorf("a gap is no reading: %+v", stats)
		}
	})
}

// TestSummariesHaveNoNumber: they stand for several readings.
func TestSummariesHaveNoNumber(t *testing.T) {
	c, err := pipeline.NewChain(pipeline.Processing{Window: map[string]pipeline.Window{"q": {Every: time.Minute, Of: []string{"max"}}}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c.Apply([]gateway.Reading{{Device: "d", Name: "q", Seq: 3, Time: now, Quality: gateway.Good}}, now)
	if out := c.Stop(now); len(out) != 1 || out[0].Seq != 0 {
		t.Errorf("%+v", out)
	}
}
