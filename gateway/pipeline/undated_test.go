package pipeline_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/dating"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
)

// startup is the clock of a board that learns what time it is after a minute of the
// test, and was started a minute before it.
type startup struct{ began time.Time }

func newStartup() startup { return startup{time.Now()} }

func (s startup) Uptime() time.Duration { return time.Since(s.began) + time.Minute }
func (startup) Boot() string            { return "01234567-89ab-cdef-0123-456789abcdef" }
func (s startup) Trusted() bool         { return s.Uptime() >= 2*time.Minute }
func (s startup) Now() time.Time {
	if s.Trusted() {
		return time.Now()
	}
	return gateway.Undated(s.Uptime())
}

// forgetful is a memory that keeps nothing.
type forgetful struct{}

func (forgetful) Load() ([]byte, error) { return nil, nil }
func (forgetful) Save([]byte) error     { return nil }

func newUndatedBatcher(t *testing.T, q *queue, c startup, o pipeline.BatcherOptions) *pipeline.Batcher {
	t.Helper()
	o.Queue, o.Clock, o.Boot = q, c, c.Boot()
	b, err := pipeline.NewBatcher(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func now(c startup, name string) gateway.Reading {
	r := reading(name)
	r.Time = c.Now()
	return r
}

// TestReadingsBeforeTheTimeIsKnown: they are queued like all others, share messages with
// them, and get their times when they leave.
func TestReadingsBeforeTheTimeIsKnown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, q := newStartup(), &queue{}
		b := newUndatedBatcher(t, q, c, pipeline.BatcherOptions{MaxAge: time.Hour})
		stop := running(b.Run)
		began := time.Now()
		for range 8 { // the clock becomes known in the middle
			if err := b.Emit(t.Context(), now(c, "x")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(15 * time.Second)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		dater := dating.NewDater(dating.NewStarts(dating.Options{Board: c, Memory: forgetful{}}))
		m := dater.Date(q.got()[0])
		var body struct{ Readings []struct{ Time time.Time } }
		if err := json.Unmarshal(m.Body, &body); err != nil || len(body.Readings) != 8 {
			t.Fatalf("%v: %s", err, m.Body)
		}
		for i, r := range body.Readings {
			if want := began.Add(time.Duration(i) * 15 * time.Second); !r.Time.Equal(want) {
				t.Errorf("reading %d has time %v, want %v", i, r.Time, want)
			}
		}
		if strings.Contains(string(m.Body), "boot") || !m.Created.Equal(time.Now()) {
			t.Errorf("created %v: %s", m.Created, m.Body)
		}
	})
}

// TestMessagesStayWithinTheirSize, also if all that is said in the end is an estimate.
func TestMessagesStayWithinTheirSize(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, q := newStartup(), &queue{}
		const most = 1000
		b := newUndatedBatcher(t, q, c, pipeline.BatcherOptions{MaxBytes: most})
		stop := running(b.Run)
		emit := func() {
			for i := range 2000 {
				if err := b.Emit(t.Context(), now(c, strings.Repeat("x", 1+i%60))); err != nil {
					t.Fatal(err)
				}
			}
		}
		emit()
		time.Sleep(2 * time.Minute)
		emit()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		memory := &oneBoot{}
		dating.NewStarts(dating.Options{Board: untold{c}, Memory: memory})
		dater := dating.NewDater(dating.NewStarts(dating.Options{Board: laterBoot{c}, Memory: memory}))
		largest := make(map[bool]int)
		for _, m := range q.got() {
			m = dater.Date(m)
			estimated := strings.Contains(string(m.Body), "time_to")
			largest[estimated] = max(largest[estimated], len(m.Body))
		}
		for _, size := range largest {
			if size > most || size < most*9/10 || len(largest) != 2 {
				t.Errorf("the largest messages, estimated or not, have %v bytes, want nearly %d", largest, most)
			}
		}
	})
}

// untold is a board that never hears the time.
type untold struct{ startup }

func (u untold) Now() time.Time { return gateway.Undated(u.Uptime()) }

// laterBoot is the boot after that of startup.
type laterBoot struct{ startup }

func (laterBoot) Boot() string   { return "later" }
func (laterBoot) Now() time.Time { return time.Now().Add(time.Hour) }

type oneBoot struct{ data []byte }

func (m *oneBoot) Load() ([]byte, error)  { return m.data, nil }
func (m *oneBoot) Save(data []byte) error { m.data = data; return nil }

func TestAlertsEventsAndGapsBeforeTheTimeIsKnown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, q := newStartup(), &queue{}
		b := newUndatedBatcher(t, q, c, pipeline.BatcherOptions{})
		stop := running(b.Run)
		err := b.Alert(t.Context(), gateway.Alert{Device: "air", ID: "hot", Active: true, Time: c.Now()}, nil)
		if err == nil {
			err = b.Gap(t.Context(), gateway.Gap{Device: "air", First: 1, Last: 2, Time: c.Now()})
		}
		if err == nil {
			err = b.Event(gateway.Event{Device: "pump", Name: gateway.EventMadeSafe, Time: c.Now()})
		}
		if err == nil {
			_, err = b.Commit(t.Context(), []gateway.Reading{reading("dated")})
		}
		if e := stop(); err != nil || e != nil {
			t.Fatal(err, e)
		}
		want := time.Now()
		time.Sleep(2 * time.Minute)
		dater := dating.NewDater(dating.NewStarts(dating.Options{Board: c, Memory: forgetful{}}))
		for _, m := range q.got() {
			m = dater.Date(m)
			text := want.UTC().Format("2006-01-02T15:04:05.000Z")
			if !strings.Contains(string(m.Body), `"time":"`+text+`"`) || !m.Created.Equal(want) {
				t.Errorf("%s created %v, want %s: %s", m.Kind, m.Created, text, m.Body)
			}
		}
	})
}
