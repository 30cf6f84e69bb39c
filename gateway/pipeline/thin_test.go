package pipeline_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// wired is a reading as it stands in the queue.
type wired struct {
	Device, Name, Unit, Quality string
	Value                       any
	Time                        time.Time
}

func (q *queue) readings(t *testing.T) (list []wired) {
	t.Helper()
	for _, m := range q.got() {
		var body struct{ Readings []wired }
		if err := json.Unmarshal(m.Body, &body); err != nil {
			t.Fatal(err)
		}
		list = append(list, body.Readings...)
	}
	return list
}

// plan is a data plan under the control of the test.
type plan struct{ window atomic.Int64 }

func (p *plan) thin(window time.Duration) { p.window.Store(int64(window)) }
func (p *plan) Thinning() time.Duration   { return time.Duration(p.window.Load()) }

func number(name string, x float64) gateway.Reading {
	return gateway.Reading{
		Device: "air", Name: name, Value: gateway.Number(x), Unit: "Cel", Time: time.Now(), Quality: gateway.Good,
	}
}

func hand(t *testing.T, s gateway.Sink, readings ...gateway.Reading) {
	t.Helper()
	if err := s.Emit(t.Context(), readings...); err != nil {
		t.Fatal(err)
	}
}

func TestThinningSumsAWindowUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q, p := &queue{}, &plan{}
		p.thin(10 * time.Minute)
		b := newBatcher(t, q, pipeline.BatcherOptions{Thinning: p.Thinning, MaxAge: time.Second})
		defer running(b.Run)()
		start := time.Now()
		for i := range 20 {
			hand(t, b, number("temperature", float64(i)), number("humidity", 50))
			time.Sleep(30 * time.Second)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		var got []string
		for _, r := range q.readings(t) {
			got = append(got, fmt.Sprintf("%s=%v%s", r.Name, r.Value, r.Unit))
			if last := start.Add(570 * time.Second); !r.Time.Equal(last.UTC().Truncate(time.Millisecond)) {
				t.Errorf("%s is dated %v, want the last sample's %v", r.Name, r.Time, last)
			}
		}
		want := []string{
			"temperature.mean=9.5Cel", "temperature.min=0Cel", "temperature.max=19Cel", "temperature.count=20",
			"humidity.mean=50Cel", "humidity.min=50Cel", "humidity.max=50Cel", "humidity.count=20",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v\nwant %v", got, want)
		}
		if s := b.Stats(); s.Thinned != 32 || s.Readings != 8 {
			t.Errorf("stats %+v, want 32 readings saved and 8 taken in", s)
		}
	})
}

// TestWhatThinningLeavesAlone: states, and what a summary would not make shorter.
func TestWhatThinningLeavesAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q, p := &queue{}, &plan{}
		p.thin(time.Minute)
		b := newBatcher(t, q, pipeline.BatcherOptions{Thinning: p.Thinning, MaxAge: time.Second})
		defer running(b.Run)()
		state := number("open", 0)
		for i := range 10 {
			state.Value = gateway.Bool(i%2 == 0)
			hand(t, b, state)
		}
		state.Name, state.Value = "mode", gateway.Text("eco")
		hand(t, b, state)
		long := number(strings.Repeat("n", pipeline.MaxNameBytes), 1)
		hand(t, b, long, number("level", 1), number("level", 2), number("level", 3), number("level", 4))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := len(q.names()); n != 12 {
			t.Errorf("%d readings before the window closed, want the 12 that are not thinned", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := q.names()[12:]; !slices.Equal(got, []string{"level", "level", "level", "level"}) {
			t.Errorf("after the window: %v, want the four samples", got)
		}
	})
}

func TestAlertsAreNeverThinned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q, p := &queue{}, &plan{}
		p.thin(time.Hour)
		b := newBatcher(t, q, pipeline.BatcherOptions{Thinning: p.Thinning, Lane: gateway.LaneAlerts, MaxAge: time.Second})
		defer running(b.Run)()
		for range 10 {
			hand(t, b, number("level", 1))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := len(q.names()); n != 10 {
			t.Errorf("%d readings, want all 10", n)
		}
	})
}

func TestCommitIsNotThinned(t *testing.T) {
	p := &plan{}
	p.thin(time.Hour)
	q := &queue{}
	b := newBatcher(t, q, pipeline.BatcherOptions{Thinning: p.Thinning})
	ids, err := b.Commit(t.Context(), []gateway.Reading{number("a", 1)}, []gateway.Reading{number("a", 2)})
	if err != nil || len(ids) != 2 || len(q.got()) != 2 {
		t.Errorf("ids %v, %v; %d messages", ids, err, len(q.got()))
	}
}

// TestQualitiesAndUnitsAreSummedUpApart: what must not be used must not hide in
// a mean.
func TestQualitiesAndUnitsAreSummedUpApart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q, p := &queue{}, &plan{}
		p.thin(time.Minute)
		b := newBatcher(t, q, pipeline.BatcherOptions{Thinning: p.Thinning, MaxAge: time.Second})
		stop := running(b.Run)
		for range 5 {
			bad := number("t", -127)
			bad.Quality = gateway.Bad
			kelvin := number("t", 300)
			kelvin.Unit = "K"
			hand(t, b, number("t", 20), bad, kelvin)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range q.readings(t) {
			if strings.HasSuffix(r.Name, ".mean") {
				got = append(got, fmt.Sprint(r.Value, r.Unit, r.Quality))
			}
		}
		if want := []string{"20Cel", "-127Celbad", "300K"}; !slices.Equal(got, want) {
			t.Errorf("means %v, want %v", got, want)
		}
	})
}

// TestTheEndOfThinningClosesTheWindow, and a stop does.
func TestTheEndOfThinningClosesTheWindow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q, p := &queue{}, &plan{}
		p.thin(time.Hour)
		b := newBatcher(t, q, pipeline.BatcherOptions{Thinning: p.Thinning, MaxAge: time.Second})
		stop := running(b.Run)
		for range 5 {
			hand(t, b, number("t", 1))
		}
		p.thin(0)
		hand(t, b, number("t", 2))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		want := []string{"t.mean", "t.min", "t.max", "t.count", "t"}
		if got := q.names(); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		p.thin(time.Hour)
		for range 7 {
			hand(t, b, number("t", 1))
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if got := q.names()[5:]; !slices.Equal(got, want[:4]) {
			t.Errorf("after the stop %v, want %v", got, want[:4])
		}
	})
}

// TestThinningRefusesNoNumber: only what is none is refused, as ever.
func TestThinningRefusesNoNumber(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q, p := &queue{}, &plan{}
		p.thin(time.Minute)
		b := newBatcher(t, q, pipeline.BatcherOptions{Thinning: p.Thinning, MaxAge: time.Second})
		stop := running(b.Run)
		for _, x := range []float64{1e300, -1e300, 0, math.SmallestNonzeroFloat64, -5, math.NaN(), math.Inf(1)} {
			hand(t, b, number("t", x))
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		got := q.readings(t)
		if len(got) != 4 || got[1].Value != -1e300 || got[2].Value != 1e300 || got[3].Value != 5.0 {
			t.Errorf("got %+v", got)
		}
		if s := b.Stats(); s.Refused != 2 {
			t.Errorf("%d refused, want NaN and Inf", s.Refused)
		}
	})
}

// TestThinningIsBounded: names without end take no memory without end.
func TestThinningIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q, p := &queue{}, &plan{}
		p.thin(time.Hour)
		b := newBatcher(t, q, pipeline.BatcherOptions{Thinning: p.Thinning, MaxAge: time.Second})
		defer running(b.Run)()
		for _, name := range numbered(0, 5000) {
			hand(t, b, number(name, 1))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := len(q.names()); n != 5000-4096 {
			t.Errorf("%d passed as they came, want what is beyond 4096", n)
		}
	})
}
