package iothub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// board is a Twin under the control of the test.
type board struct {
	urgent chan struct{}

	mu       sync.Mutex
	reported map[string]any
	desires  []string // "version JSON"
}

func (b *board) Urgent() <-chan struct{} { return b.urgent }

func (b *board) Reported() map[string]any {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reported
}

func (b *board) report(v map[string]any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reported = v
}

func (b *board) Desire(version int64, properties map[string]any) {
	text, _ := json.Marshal(properties)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.desires = append(b.desires, fmt.Sprint(version, " ", string(text)))
}

// desired takes what was desired since the last call.
func (b *board) desired() (list []string) {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	list, b.desires = b.desires, nil
	return list
}

// twinRig is a twinSync with a hub that is the test.
type twinRig struct {
	t    *testing.T
	in   chan twinMessage
	logs *bytes.Buffer // only to be read when nothing runs
	*board

	mu   sync.Mutex
	lost bool
	told []told
}

func (r *twinRig) tell(topic string, payload []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost {
		return errors.New("connection lost")
	}
	r.told = append(r.told, told{topic: topic, body: string(payload)})
	return nil
}

// requests takes what was asked since the last call.
func (r *twinRig) requests() (list []told) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	list, r.told = r.told, nil
	return list
}

// one is the one request that is there, of this kind; it returns its rid.
func (r *twinRig) one(prefix, body string) (rid string) {
	r.t.Helper()
	list := r.requests()
	if len(list) != 1 || !strings.HasPrefix(list[0].topic, prefix) || list[0].body != body {
		r.t.Fatalf("after %v: requests %+v, want %s with %s", time.Since(epoch), list, prefix, body)
	}
	return strings.TrimPrefix(list[0].topic, prefix)
}

func (r *twinRig) none() {
	r.t.Helper()
	if list := r.requests(); len(list) != 0 {
		r.t.Fatalf("after %v: requests %+v, want none", time.Since(epoch), list)
	}
}

func (r *twinRig) answer(rid string, status int, body string) {
	r.in <- twinMessage{status: status, rid: rid, body: []byte(body)}
	synctest.Wait()
}

func (r *twinRig) change(version int64, body string) {
	r.in <- twinMessage{version: version, body: []byte(body)}
	synctest.Wait()
}

// read answers the read that is due.
func (r *twinRig) read(version int, desired, reported string) {
	r.t.Helper()
	desired = strings.TrimSuffix(desired, "}")
	if desired != "{" {
		desired += ","
	}
	r.answer(r.one(twinGetTopic, ""), 200, `{"desired":`+desired+`"$version":`+strconv.Itoa(version)+`},"reported":`+reported+`}`)
}

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of a synctest bubble

func syncTwin(t *testing.T, body func(t *testing.T, r *twinRig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &twinRig{t: t, in: make(chan twinMessage, 16), logs: new(bytes.Buffer), board: &board{
			urgent: make(chan struct{}, 1), reported: map[string]any{"n": 1},
		}}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			newTwinSync(r.board, r.tell, r.in, slog.New(slog.NewTextHandler(r.logs, nil))).run(ctx)
		}()
		body(t, r)
		stop()
		<-ended
	})
}

func TestTwinIsReadAndReported(t *testing.T) {
	syncTwin(t, func(t *testing.T, r *twinRig) {
		r.read(3, `{"a":1}`, `{"old":true,"n":0,"$version":7}`)
		if got := r.desired(); !reflect.DeepEqual(got, []string{`3 {"a":1}`}) {
			t.Errorf("desired %v", got)
		}
		rid := r.one(twinReportedPrefix, `{"n":1,"old":null}`)
		r.report(map[string]any{"n": 2})
		time.Sleep(40 * time.Second)
		r.none() // one at a time
		r.answer(rid, 204, "")
		r.one(twinReportedPrefix, `{"n":2}`)
	})
}

func TestReportsAreGathered(t *testing.T) {
	syncTwin(t, func(_ *testing.T, r *twinRig) {
		r.read(1, `{}`, `{}`)
		r.answer(r.one(twinReportedPrefix, `{"n":1}`), 204, "")
		time.Sleep(minReportPause - time.Second)
		for n := range 10 {
			r.report(map[string]any{"n": n})
		}
		r.none()
		time.Sleep(time.Second)
		r.answer(r.one(twinReportedPrefix, `{"n":9}`), 204, "")
		r.report(map[string]any{"n": 10})
		r.urgent <- struct{}{}
		r.answer(r.one(twinReportedPrefix, `{"n":10}`), 204, "")
	})
}

// A state that changes all the time is reported ever less often, to the bound.
func TestRestlessStateIsReportedLessOften(t *testing.T) {
	syncTwin(t, func(t *testing.T, r *twinRig) {
		r.read(1, `{}`, `{}`)
		count := func(d time.Duration) (reports int) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
				r.report(map[string]any{"at": time.Since(epoch).String()})
				for _, q := range r.requests() {
					reports++
					r.answer(strings.TrimPrefix(q.topic, twinReportedPrefix), 204, "")
				}
			}
			return reports
		}
		if n := count(24 * time.Hour); n < 24*4 || n > 24*4+10 {
			t.Errorf("%d reports in a day, want one each 15 minutes", n)
		}
		list, _ := r.waitFor(maxReportPause + time.Minute) // the last
		r.answer(strings.TrimPrefix(list[0].topic, twinReportedPrefix), 204, "")
		time.Sleep(time.Hour)
		r.none()
		r.report(map[string]any{"n": 5})
		time.Sleep(minReportPause)
		if list := r.requests(); len(list) != 1 {
			t.Errorf("requests after a rest: %+v", list)
		}
	})
}

func TestDesiredChangesInOrder(t *testing.T) {
	syncTwin(t, func(t *testing.T, r *twinRig) {
		r.report(map[string]any{})
		r.read(3, `{"a":1,"b":2}`, `{}`)
		r.desired()
		r.change(3, `{"a":9,"$version":3}`) // what the read had
		r.change(2, `{"a":9,"$version":2}`)
		if got := r.desired(); got != nil {
			t.Errorf("stale changes: desired %v", got)
		}
		r.change(4, `{"a":null,"$version":4}`)
		if got := r.desired(); !reflect.DeepEqual(got, []string{`4 {"b":2}`}) {
			t.Errorf("desired %v", got)
		}
		r.none()
		r.change(6, `{"c":3,"$version":6}`) // 5 was missed
		if got := r.desired(); got != nil {
			t.Errorf("with a hole: desired %v", got)
		}
		r.read(6, `{"b":5,"c":3}`, `{}`)
		if got := r.desired(); !reflect.DeepEqual(got, []string{`6 {"b":5,"c":3}`}) {
			t.Errorf("desired %v", got)
		}
		r.change(7, `nonsense`)
		r.read(7, `{"c":3}`, `{}`)
		if got := r.desired(); !reflect.DeepEqual(got, []string{`7 {"c":3}`}) {
			t.Errorf("desired %v", got)
		}
	})
}

// A replacement looks like a change: the twin is read soon after what may be one.
func TestReplacementOfDesired(t *testing.T) {
	syncTwin(t, func(t *testing.T, r *twinRig) {
		r.report(map[string]any{})
		r.read(1, `{"a":1,"b":2}`, `{}`)
		r.desired()
		r.change(2, `{"a":5,"$version":2}`) // and b is gone
		if got := r.desired(); !reflect.DeepEqual(got, []string{`2 {"a":5,"b":2}`}) {
			t.Errorf("desired %v", got)
		}
		time.Sleep(confirmPause)
		r.read(2, `{"a":5}`, `{}`)
		if got := r.desired(); !reflect.DeepEqual(got, []string{`2 {"a":5}`}) {
			t.Errorf("desired %v", got)
		}
		r.change(3, `{"a":6,"$version":3}`) // either way the same
		r.desired()
		time.Sleep(2 * confirmPause)
		r.none()
		r.change(4, `{"b":1,"$version":4}`) // a change, as the read says
		r.desired()
		time.Sleep(confirmPause)
		r.read(4, `{"a":6,"b":1}`, `{}`)
		if got := r.desired(); got != nil {
			t.Errorf("nothing new, but desired %v", got)
		}
	})
}

// A change that comes before the answer to the read is not lost.
func TestChangeDuringTheRead(t *testing.T) {
	syncTwin(t, func(t *testing.T, r *twinRig) {
		r.report(map[string]any{})
		rid := r.one(twinGetTopic, "")
		r.change(5, `{"a":5,"$version":5}`)
		r.answer(rid, 200, `{"desired":{"a":4,"$version":4},"reported":{}}`)
		r.desired()
		time.Sleep(confirmPause)
		r.read(5, `{"a":5}`, `{}`)
		if got := r.desired(); !reflect.DeepEqual(got, []string{`5 {"a":5}`}) {
			t.Errorf("desired %v", got)
		}
	})
}

// waitFor sleeps until a request comes, and says for how long.
func (r *twinRig) waitFor(limit time.Duration) (list []told, waited time.Duration) {
	r.t.Helper()
	start := time.Now()
	for time.Since(start) < limit {
		time.Sleep(time.Second)
		if list = r.requests(); len(list) > 0 {
			return list, time.Since(start)
		}
	}
	r.t.Fatalf("no request within %v", limit)
	return nil, 0
}

func TestHubThatIsNotAbleToAnswer(t *testing.T) {
	for _, status := range []int{429, 500, 503, 0} { // 0: it says nothing
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			syncTwin(t, func(t *testing.T, r *twinRig) {
				r.report(map[string]any{})
				list := r.requests()
				for i := range 8 {
					if status != 0 {
						r.answer(strings.TrimPrefix(list[0].topic, twinGetTopic), status, "")
					}
					var waited time.Duration
					list, waited = r.waitFor(time.Hour)
					if status == 0 {
						waited -= twinTimeout
					}
					pause := min(minTwinPause<<i, maxTwinPause)
					if waited < pause/2-time.Second || waited > pause+time.Second {
						t.Errorf("attempt %d after %v, want %v or half of it", i, waited, pause)
					}
				}
				r.answer(strings.TrimPrefix(list[0].topic, twinGetTopic), 200, `{"desired":{"$version":1},"reported":{}}`)
				r.report(map[string]any{"n": 1})
				r.urgent <- struct{}{}
				rid := r.one(twinReportedPrefix, `{"n":1}`)
				r.answer(rid, 429, `{"errorCode":429001,"message":"Throttled"}`)
				r.urgent <- struct{}{}
				r.none() // not even for what is urgent
				list, waited := r.waitFor(minTwinPause + time.Second)
				if waited < minTwinPause/2-time.Second {
					t.Errorf("reported again after %v", waited)
				}
				r.answer(strings.TrimPrefix(list[0].topic, twinReportedPrefix), 204, "")
			})
		})
	}
}

// What the hub refuses is not sent again before it is another.
func TestRefusedReport(t *testing.T) {
	syncTwin(t, func(t *testing.T, r *twinRig) {
		r.read(1, `{}`, `{}`)
		r.answer(r.one(twinReportedPrefix, `{"n":1}`), 400, `{"errorCode":400004,"message":"Bad n"}`)
		time.Sleep(time.Hour)
		r.none()
		r.report(map[string]any{"n": 2})
		time.Sleep(minReportPause)
		r.answer(r.one(twinReportedPrefix, `{"n":2}`), 204, "")
		r.report(map[string]any{"a.b": 2})
		time.Sleep(time.Hour)
		r.none() // the rules are known here
		if n := strings.Count(r.logs.String(), "level=ERROR"); n != 2 {
			t.Errorf("%d errors in the log, want one each:\n%s", n, r.logs)
		}
		r.report(map[string]any{"n": 3})
		time.Sleep(minReportPause)
		r.answer(r.one(twinReportedPrefix, `{"n":3}`), 412, "") // somebody else has reported
		r.read(1, `{}`, `{"x":1,"n":2}`)
		time.Sleep(minReportPause)
		r.one(twinReportedPrefix, `{"n":3,"x":null}`)
	})
}

func TestAnswersThatNobodyWaitsFor(t *testing.T) {
	syncTwin(t, func(t *testing.T, r *twinRig) {
		r.report(map[string]any{})
		rid := r.one(twinGetTopic, "")
		r.answer("other", 200, `{"desired":{"$version":9},"reported":{}}`)
		r.answer(rid, 200, `no twin`)
		if got := r.desired(); got != nil {
			t.Errorf("desired %v", got)
		}
		list, _ := r.waitFor(time.Minute)
		r.answer(strings.TrimPrefix(list[0].topic, twinGetTopic), 200, `{"desired":{"$version":1},"reported":{}}`)
		r.answer(rid, 200, `{"desired":{"$version":9},"reported":{}}`)
		if got := r.desired(); !reflect.DeepEqual(got, []string{`1 {}`}) {
			t.Errorf("desired %v", got)
		}
	})
}

func TestTwinEndsWithTheConnection(t *testing.T) {
	syncTwin(t, func(_ *testing.T, r *twinRig) {
		r.read(1, `{}`, `{}`)
		r.mu.Lock()
		r.lost = true
		r.mu.Unlock()
		r.answer(r.one(twinReportedPrefix, `{"n":1}`), 204, "")
		r.report(map[string]any{"n": 2})
		time.Sleep(time.Hour) // syncTwin would hang if it did not end
		r.none()
	})
}
