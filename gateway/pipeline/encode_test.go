package pipeline_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

func TestGoldenMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := &queue{}
		b := newBatcher(t, q, pipeline.BatcherOptions{})
		at := time.Date(2026, 2, 3, 4, 5, 6, 7_899_999, time.FixedZone("", 3600))
		_, err := b.Commit(t.Context(), []gateway.Reading{
			{Device: "air", Name: "temperature", Value: gateway.Number(21.5), Unit: "Cel", Time: at, Quality: gateway.Good},
			{Device: "air", Name: "humidity", Value: gateway.Number(40), Unit: "%RH", Time: at, Quality: gateway.Uncertain},
			{Device: "door", Name: "open", Value: gateway.Bool(false), Time: at, Quality: gateway.Good},
			{Device: "door", Name: "label", Value: gateway.Text("Tür \"1\"\n"), Time: time.UnixMilli(1), Quality: gateway.Bad},
		})
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile("testdata/message.json")
		if err != nil {
			t.Fatal(err)
		}
		m := q.got()[0]
		if string(m.Body) != strings.TrimSpace(string(want)) {
			t.Errorf("got\n%s\nwant\n%s", m.Body, want)
		}
		if m.Kind != gateway.KindTelemetry || m.ContentType != "application/json" || m.ID.Lane != gateway.LaneTelemetry || !m.Created.Equal(time.Now()) {
			t.Errorf("message %+v", m)
		}
	})
}

func TestGoldenEvent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := &queue{}
		b := newBatcher(t, q, pipeline.BatcherOptions{Lane: gateway.LaneAlerts})
		e := gateway.Event{
			Device: "pump", Name: gateway.EventMadeSafe, Cause: "max_on", Done: true, Text: "It was on for long.",
			Time: time.Date(2026, 2, 3, 4, 5, 6, 0, time.FixedZone("", 3600)), Outputs: map[string]gateway.Value{"on": gateway.Bool(false)},
		}
		if err := b.Event(e); err != nil {
			t.Fatal(err)
		}
		e.Outputs["on"] = gateway.Number(math.NaN())
		if err := b.Event(e); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%v", err)
		}
		if err := running(b.Run)(); err != nil {
			t.Fatal(err)
		}
		const want = `{"v":1,"event":{"device":"pump","name":"made-safe","cause":"max_on","done":true,"text":"It was on for long.",` +
			`"outputs":{"on":false},"time":"2026-02-03T03:05:06.000Z"}}`
		if all := q.got(); len(all) != 1 || string(all[0].Body) != want || all[0].Kind != gateway.KindEvent || all[0].ID.Lane != gateway.LaneAlerts {
			t.Errorf("%s, want %s", all, want)
		}
		if s := b.Stats(); s.Readings != 0 {
			t.Errorf("an event is no reading: %+v", s)
		}
	})
}

func TestReadingsThatAreRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*gateway.Reading)
		ok     bool
	}{
		{"NaN", func(r *gateway.Reading) { r.Value = gateway.Number(math.NaN()) }, false},
		{"infinity", func(r *gateway.Reading) { r.Value = gateway.Number(math.Inf(1)) }, false},
		{"no name", func(r *gateway.Reading) { r.Name = "" }, false},
		{"long name", func(r *gateway.Reading) { r.Name = strings.Repeat("x", 257) }, false},
		{"name not UTF-8", func(r *gateway.Reading) { r.Name = "\xff" }, false},
		{"text of 16 KiB", func(r *gateway.Reading) { r.Value = gateway.Text(strings.Repeat("x", 16<<10)) }, true},
		{"longer text", func(r *gateway.Reading) { r.Value = gateway.Text(strings.Repeat("x", 16<<10+1)) }, false},
		{"text not UTF-8", func(r *gateway.Reading) { r.Value = gateway.Text("\xff") }, false},
		{"year 10000", func(r *gateway.Reading) { r.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, false},
		{"1970", func(r *gateway.Reading) { r.Time = time.Unix(0, 0) }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				q := &queue{}
				b := newBatcher(t, q, pipeline.BatcherOptions{})
				r := reading("odd")
				tt.change(&r)
				_, err := b.Commit(t.Context(), []gateway.Reading{reading("good"), r})
				if (err == nil) != tt.ok || (err != nil && !errors.Is(err, gateway.ErrInvalid)) {
					t.Errorf("Commit: %v", err)
				}
				if !tt.ok && len(q.got()) != 0 {
					t.Error("a part of a batch was committed")
				}
				if err := b.Emit(t.Context(), reading("before"), r, reading("after")); err != nil {
					t.Fatal(err)
				}
				stop := running(b.Run)
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				s := b.Stats()
				if want := map[bool]uint64{true: 0, false: 1}[tt.ok]; s.Refused != want || s.Lost != 0 {
					t.Errorf("refused %d, lost %d", s.Refused, s.Lost)
				}
				if got := strings.Join(q.names(), " "); !strings.Contains(got, "before") || !strings.Contains(got, "after") {
					t.Errorf("the others of the batch: %s", got)
				}
			})
		})
	}
}

// FuzzEmit: whatever a driver hands in, each body is valid JSON and each
// reading is either in it or counted.
func FuzzEmit(f *testing.F) {
	f.Add("air", "temperature", "Cel", "text", 21.5, int64(0), 1)
	f.Add("\xff", "", "\x00", "\u2028<&>", math.Inf(-1), int64(math.MinInt64), 2)
	f.Fuzz(func(t *testing.T, device, name, unit, text string, number float64, seconds int64, n int) {
		q := &queue{}
		b := newBatcher(t, q, pipeline.BatcherOptions{MaxBytes: 300})
		at := time.Unix(seconds, 0)
		r := gateway.Reading{Device: gateway.DeviceID(device), Name: name, Unit: unit, Time: at}
		count := n&7 + 1
		for range count {
			r.Value = gateway.Number(number)
			_ = b.Emit(t.Context(), r)
			r.Value = gateway.Text(text)
			_ = b.Emit(t.Context(), r)
		}
		if err := running(b.Run)(); err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, m := range q.got() {
			var body struct {
				V        int
				Readings []json.RawMessage
			}
			if err := json.Unmarshal(m.Body, &body); err != nil || body.V != 1 {
				t.Fatalf("%v: %q", err, m.Body)
			}
			if len(m.Body) > 300 && len(body.Readings) > 1 {
				t.Fatalf("%d bytes with %d readings", len(m.Body), len(body.Readings))
			}
			total += len(body.Readings)
		}
		if s := b.Stats(); uint64(total) != s.Readings || s.Readings+s.Refused != uint64(2*count) {
			t.Fatalf("%d readings arrived, %+v", total, s)
		}
	})
}
