package iothub

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"strconv"
	"time"
)

const (
	// twinTimeout is how long an answer of the hub may take.
	twinTimeout = time.Minute
	// minReportPause and maxReportPause bound the time from one report to the
	// next. It doubles while there is always something new, since each costs
	// some hundred bytes and counts as a message.
	minReportPause = 30 * time.Second
	maxReportPause = 15 * time.Minute
	// minTwinPause and maxTwinPause bound the time until a request that failed
	// is made again.
	minTwinPause = 10 * time.Second
	maxTwinPause = 10 * time.Minute
	// confirmPause is how soon the twin is read after a change that may have
	// been a replacement.
	confirmPause = 5 * time.Second
)

// twinSync keeps a Twin and the hub's idea of it the same, for one session. It
// reads the whole twin first; then it follows the changes of the desired
// properties, and sends those of the reported ones. One request is under way
// at a time.
type twinSync struct {
	twin Twin
	tell func(topic string, payload []byte) error
	in   <-chan twinMessage
	log  *slog.Logger

	// twinDocument is what the hub has; known is false before it was read.
	twinDocument
	known bool
	// newest is the highest version of the desired properties heard of.
	newest int64
	// readAt and reportAt are when the next request of each kind is due; zero
	// is never.
	readAt, reportAt time.Time
	asked            *twinRequest
	requests         int // made so far

	reportPause time.Duration
	lastReport  time.Time
	failures    int // requests in a row
	// hopeless is what the hub, or its rules, refused to take as reported.
	hopeless map[string]any
}

// twinRequest is what the hub has been asked.
type twinRequest struct {
	rid      string
	deadline time.Time
	// report is what will be reported once this has worked; nil for a read.
	report map[string]any
}

func newTwinSync(twin Twin, tell func(string, []byte) error, in <-chan twinMessage, log *slog.Logger) *twinSync {
	return &twinSync{twin: twin, tell: tell, in: in, log: log, reportPause: minReportPause}
}

// run works until ctx ends or the connection takes no more.
func (t *twinSync) run(ctx context.Context) {
	t.readAt = time.Now()
	for {
		next, err := t.act(time.Now())
		if err != nil {
			if ctx.Err() == nil {
				t.log.Debug("twin not synced any more", "error", err)
			}
			return
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case m := <-t.in:
			t.take(m)
		case <-t.twin.Urgent():
			t.reportSoon()
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// act makes the request that is due, if there is one, and says when to look
// again.
func (t *twinSync) act(now time.Time) (next time.Time, err error) {
	if t.asked != nil && !now.Before(t.asked.deadline) {
		t.log.Warn("no answer from the hub about the twin", "within", twinTimeout)
		t.failed()
	}
	switch {
	case t.asked != nil:
	case due(t.readAt, now):
		err = t.read(now)
	case t.known && due(t.reportAt, now):
		err = t.report(now)
	}
	if t.asked != nil {
		return t.asked.deadline, err
	}
	next = now.Add(twinTimeout)
	for _, at := range []time.Time{t.readAt, t.reportAt} {
		if !at.IsZero() && at.Before(next) && (t.known || at.Equal(t.readAt)) {
			next = at
		}
	}
	return next, err
}

func due(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

func (t *twinSync) read(now time.Time) error {
	t.readAt = time.Time{}
	return t.ask(now, twinGetTopic, nil, nil)
}

// report sends what has changed of the reported properties.
func (t *twinSync) report(now time.Time) error {
	want, err := plain(t.twin.Reported())
	if err == nil {
		err = checkTwin(want)
	}
	t.reportAt = now.Add(t.reportPause)
	if t.hopeless != nil && reflect.DeepEqual(want, t.hopeless) {
		return nil // nothing new
	}
	if err != nil {
		t.giveUp(want, err.Error())
		return nil
	}
	patch := mergeDiff(t.reported, want)
	if len(patch) == 0 {
		t.reportPause = minReportPause
		return nil
	}
	t.slowDown(now)
	payload, err := json.Marshal(patch)
	if err != nil {
		t.giveUp(want, err.Error())
		return nil
	}
	return t.ask(now, twinReportedPrefix, payload, want)
}

// slowDown makes the pause longer if the last report was just before.
func (t *twinSync) slowDown(now time.Time) {
	if !t.lastReport.IsZero() && now.Sub(t.lastReport) < 2*t.reportPause {
		t.reportPause = min(2*t.reportPause, maxReportPause)
	} else {
		t.reportPause = minReportPause
	}
	t.lastReport = now
}

func (t *twinSync) giveUp(want map[string]any, reason string) {
	t.hopeless = want
	t.log.Error("the state of the gateway cannot be reported, until it is another", "error", reason)
}

func (t *twinSync) ask(now time.Time, topic string, payload []byte, report map[string]any) error {
	t.requests++
	t.asked = &twinRequest{rid: strconv.Itoa(t.requests), deadline: now.Add(twinTimeout), report: report}
	return t.tell(topic+t.asked.rid, payload)
}

// take deals with what the hub says.
func (t *twinSync) take(m twinMessage) {
	switch {
	case m.status == 0:
		t.change(m)
	case t.asked == nil || m.rid != t.asked.rid:
		t.log.Debug("an answer that nobody waits for", "rid", m.rid, "status", m.status)
	case t.asked.report == nil:
		t.answerToRead(m)
	default:
		t.answerToReport(m)
	}
}

// change takes a change of the desired properties. A hub sends the replacement
// of all of them in the same way, so that one which could be either is followed
// by a look at the whole.
func (t *twinSync) change(m twinMessage) {
	t.newest = max(t.newest, m.version)
	switch {
	case !t.known || m.version <= t.version: // the read that is under way decides; old
		return
	case m.version > t.version+1:
		t.log.Info("changes of the desired properties were missed, they are read anew", "have", t.version, "heard", m.version)
		t.readAt = time.Now()
		return
	}
	patch, err := parseTwinPatch(m.body)
	if err != nil {
		t.log.Warn("a change of the desired properties cannot be understood, they are read anew", "error", err)
		t.readAt = time.Now()
		return
	}
	t.desired, t.version = mergePatch(t.desired, patch), m.version
	if !reflect.DeepEqual(t.desired, withoutNulls(patch)) {
		t.readAt = time.Now().Add(confirmPause)
	}
	t.twin.Desire(t.version, t.desired)
	t.reportSoon()
}

func (t *twinSync) answerToRead(m twinMessage) {
	document, err := parseTwinDocument(m.body)
	switch {
	case m.status != 200:
		t.log.Warn("the hub does not give the twin", "answer", twinFault(m))
		t.failed()
		return
	case err != nil:
		t.log.Warn("the hub's answer is no twin", "error", err)
		t.failed()
		return
	}
	t.succeeded()
	same := t.known && document.version == t.version && reflect.DeepEqual(document.desired, t.desired)
	t.twinDocument, t.known = document, true
	if t.newest > t.version { // it is older than what was heard
		t.readAt = time.Now().Add(confirmPause)
	}
	t.newest = t.version
	if !same {
		t.twin.Desire(t.version, t.desired)
		t.reportSoon()
	}
}

func (t *twinSync) answerToReport(m twinMessage) {
	want := t.asked.report
	switch {
	case m.status >= 200 && m.status < 300:
		t.succeeded()
		t.reported = want
		t.hopeless = nil
	case m.status == 412: // somebody else has reported for this device
		t.succeeded()
		t.readAt = time.Now()
	case m.status == 429 || m.status >= 500:
		t.log.Warn("the hub does not take the state of the gateway now", "answer", twinFault(m))
		t.failed()
	default:
		t.succeeded()
		t.giveUp(want, twinFault(m))
	}
}

// reportSoon makes a report due, unless the hub has asked for patience.
func (t *twinSync) reportSoon() {
	if t.failures == 0 {
		t.reportAt = time.Now()
	}
}

func (t *twinSync) succeeded() { t.asked, t.failures = nil, 0 }

// failed ends a request without success; it is made again after a pause that
// doubles.
func (t *twinSync) failed() {
	pause := min(minTwinPause<<min(t.failures, 10), maxTwinPause)
	t.failures++
	again := time.Now().Add(pause/2 + rand.N(pause/2))
	if t.asked.report == nil {
		t.readAt = again
	} else {
		t.reportAt = again
	}
	t.asked = nil
}
