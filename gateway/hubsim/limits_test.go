package hubsim

import (
	"testing"
	"time"
)

func TestDailyMessages(t *testing.T) {
	r := startRigIn(t, t.TempDir(), Options{DailyMessages: 4})
	p := r.connect("d1", nil)
	p.send("", "one")
	p.send("", string(make([]byte, meterBytes+1))) // counts as two
	r.command("d1", "c1", "x")
	p.Publish(p.topic(""), 1, false, "over")
	p.awaitLoss()
	r.says("the messages of the day are used up")
	for _, path := range []string{"/devices/d1/messages/devicebound", "/twins/d1/methods"} {
		if status, _ := r.call("POST", path+apiVersion, `{"methodName":"a"}`); status != 403 {
			t.Errorf("%s: %d, want 403", path, status)
		}
	}
	if n := len(r.events("")); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
	r.connect("d1", nil) // this is allowed, as on the real hub
	var q quota
	evening := time.Date(2026, 3, 1, 23, 59, 59, 0, time.UTC)
	if !q.take(evening, 0, 1) || q.take(evening, 0, 1) || !q.take(evening.Add(time.Second), 0, 1) {
		t.Error("the day does not end at midnight UTC")
	}
}

func TestPace(t *testing.T) {
	var p pace
	now := time.Unix(0, 0)
	for i := range 10 {
		if late := p.take(now, 10); late != 0 {
			t.Errorf("message %d of a burst: %v late", i, late)
		}
	}
	for i := range 51 { // each a tenth of a second later
		if late := p.take(now, 10); late != time.Duration(i)*100*time.Millisecond {
			t.Errorf("message %d: %v late", i+10, late)
		}
	}
	if late := p.take(now, 10); late <= maxShaping {
		t.Errorf("far too much: %v late", late)
	}
	if late := p.take(now.Add(time.Hour), 10); late != 0 {
		t.Errorf("after an hour: %v late", late)
	}
	if late := p.take(now, 0); late != 0 {
		t.Errorf("without a limit: %v late", late)
	}
}

// What is over the pace comes late, and is not lost.
func TestSendsPerSecond(t *testing.T) {
	r := startRigIn(t, t.TempDir(), Options{SendsPerSecond: 100})
	p := r.connect("d1", nil)
	for range 150 {
		p.send("", "x")
	}
	if n := len(r.events("")); n != 150 {
		t.Errorf("%d messages, want 150", n)
	}
}
