package uplink_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// calendar is a wall clock under the control of the test, which goes on by
// itself.
type calendar struct {
	ahead     atomic.Int64
	untrusted atomic.Bool
}

func (c *calendar) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *calendar) Trusted() bool  { return !c.untrusted.Load() }

// set makes it a moment such as 2026-11-25T12:00:00Z.
func (c *calendar) set(t *testing.T, s string) {
	t.Helper()
	then, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	c.ahead.Store(int64(time.Until(then)))
}

var monthly = uplink.Plan{Monthly: 1000, ResetsOn: 15, ThinAt: 0.8, ThinWindow: time.Minute}

func newMeter(t *testing.T, o uplink.MeterOptions) *uplink.Meter {
	t.Helper()
	m, err := uplink.NewMeter(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPlanStates(t *testing.T) {
	cal := &calendar{}
	cal.set(t, "2026-11-25T12:00:00Z")
	m := newMeter(t, uplink.MeterOptions{Plan: monthly, Clock: cal})
	for _, step := range []struct {
		in, out int
		state   uplink.PlanState
		window  time.Duration
	}{{400, 399, uplink.PlanFree, 0}, {1, 0, uplink.PlanThinning, time.Minute}, {0, 199, uplink.PlanThinning, time.Minute}, {0, 1, uplink.PlanHeld, time.Minute}} {
		m.Socket(step.in, step.out)
		if s, w := m.State(), m.Thinning(); s != step.state || w != step.window {
			t.Errorf("after %d bytes: %s, window %v; want %s, %v", m.Standing().Used, s, w, step.state, step.window)
		}
	}
	s := m.Standing()
	if s.Used != 1000 || s.Monthly != 1000 || s.ThinAt != 800 || s.Begins.Format(time.DateOnly) != "2026-11-15" || s.Resets.Format(time.DateOnly) != "2026-12-15" {
		t.Errorf("standing %+v", s)
	}
	never := monthly
	never.ThinAt = 1
	full := newMeter(t, uplink.MeterOptions{Plan: never, Clock: cal})
	full.Socket(0, 1000)
	if s, w := full.State(), full.Thinning(); s != uplink.PlanHeld || w != 0 {
		t.Errorf("thin at 100 %%: %s, window %v", s, w)
	}
	cal.set(t, "2026-12-14T23:59:59Z")
	if s := m.State(); s != uplink.PlanHeld {
		t.Errorf("%s before the month ends", s)
	}
	cal.set(t, "2026-12-15T00:00:00Z")
	if s := m.Standing(); s.State != uplink.PlanFree || s.Used != 0 || s.Resets.Format(time.DateOnly) != "2027-01-15" {
		t.Errorf("in the new month: %+v", s)
	}
	m.Socket(0, 5)
	if s := m.Standing(); s.Used != 5 || m.Bytes().Total().Sum() != 1005 {
		t.Errorf("used %d of the month, %d since the start", s.Used, m.Bytes().Total().Sum())
	}
}

// TestAnUntrustedClockKeepsTheMonth: 1970 is no new month, nor is 2070.
func TestAnUntrustedClockKeepsTheMonth(t *testing.T) {
	cal := &calendar{}
	cal.untrusted.Store(true)
	cal.set(t, "1970-01-01T00:00:00Z")
	m := newMeter(t, uplink.MeterOptions{Plan: monthly, Clock: cal})
	m.Socket(500, 500)
	if s := m.Standing(); s.State != uplink.PlanHeld || !s.Begins.IsZero() {
		t.Errorf("without a date: %+v", s)
	}
	cal.untrusted.Store(false)
	cal.set(t, "2026-11-25T12:00:00Z")
	if s := m.Standing(); s.Used != 1000 || s.Begins.Format(time.DateOnly) != "2026-11-15" {
		t.Errorf("with the first date: %+v", s)
	}
	cal.untrusted.Store(true)
	cal.set(t, "2070-01-01T00:00:00Z")
	if s := m.Standing(); s.Used != 1000 {
		t.Errorf("with a date that is not trusted: %+v", s)
	}
	cal.untrusted.Store(false)
	cal.set(t, "2026-10-25T12:00:00Z") // it had been ahead
	if s := m.Standing(); s.Used != 1000 || s.Begins.Format(time.DateOnly) != "2026-10-15" {
		t.Errorf("with an earlier date: %+v", s)
	}
}

// keep runs a meter for a while in virtual time.
func keep(t *testing.T, m *uplink.Meter, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { _ = m.Run(ctx); close(ended) }()
	time.Sleep(d)
	cancel()
	<-ended
}

func TestTheMonthSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cal := &calendar{}
		cal.set(t, "2026-11-25T12:00:00Z")
		o := uplink.MeterOptions{File: filepath.Join(t.TempDir(), "usage.json"), Plan: monthly, Clock: cal}
		for run := range uint64(3) {
			m := newMeter(t, o)
			m.Socket(10, 90)
			m.Packet(uplink.ForTelemetry, 0, 50)
			m.Packet(uplink.ForKeepAlive, 2, 0)
			keep(t, m, time.Second)
			s := m.Standing()
			if s.Used != 100*(run+1) || s.Bytes.Telemetry.Out != 50*(run+1) || s.Bytes.Connection != (uplink.Traffic{In: 8 * (run + 1), Out: 40 * (run + 1)}) {
				t.Errorf("run %d: %+v", run, s)
			}
		}
		cal.set(t, "2026-12-16T00:00:00Z")
		if s := newMeter(t, o).Standing(); s.Used != 0 {
			t.Errorf("a month that ended while the gateway was off: %+v", s)
		}
	})
}

// TestACrashForgetsTenMinutes and no more; the file is not written more often.
func TestACrashForgetsTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cal := &calendar{}
		cal.set(t, "2026-11-25T12:00:00Z")
		o := uplink.MeterOptions{File: filepath.Join(t.TempDir(), "usage.json"), Plan: monthly, Clock: cal}
		m := newMeter(t, o)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { _ = m.Run(ctx); close(ended) }()
		m.Socket(0, 7)
		time.Sleep(10*time.Minute - time.Second)
		if _, err := os.Stat(o.File); !os.IsNotExist(err) {
			t.Errorf("written within 10 minutes: %v", err)
		}
		time.Sleep(2 * time.Second)
		m.Socket(0, 7) // as if the power went now
		if s := newMeter(t, o).Standing(); s.Used != 7 {
			t.Errorf("after a crash: %+v", s)
		}
		cancel()
		<-ended
		if s := newMeter(t, o).Standing(); s.Used != 14 {
			t.Errorf("after a stop: %+v", s)
		}
	})
}

func TestADamagedFileIsNoReasonToStop(t *testing.T) {
	for _, text := range []string{"", "{", "[]", `{"v":2}`, `{"v":1,"bytes":{"telemetry":{"in":-1}}}`, `{"v":1,"what":1}`, "\x00\x00"} {
		var logs bytes.Buffer
		file := filepath.Join(t.TempDir(), "usage.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		m := newMeter(t, uplink.MeterOptions{
			File: file, Plan: monthly, Clock: &calendar{}, Log: slog.New(slog.NewTextHandler(&logs, nil)),
		})
		if m.Standing().Used != 0 || !strings.Contains(logs.String(), file) {
			t.Errorf("%q: used %d, log %q", text, m.Standing().Used, logs.String())
		}
	}
}

func TestPlansThatAreNone(t *testing.T) {
	for _, p := range []uplink.Plan{
		{Monthly: 1},
		{Monthly: 1, ResetsOn: 29, ThinAt: 1, ThinWindow: 1},
		{Monthly: 1, ResetsOn: 1, ThinAt: 1.1, ThinWindow: 1},
		{Monthly: 1, ResetsOn: 1, ThinWindow: 1},
		{Monthly: 1, ResetsOn: 1, ThinAt: 1},
	} {
		if _, err := uplink.NewMeter(uplink.MeterOptions{Plan: p, Clock: &calendar{}}); err == nil {
			t.Errorf("%+v passes", p)
		}
	}
	if _, err := uplink.NewMeter(uplink.MeterOptions{Plan: monthly}); err == nil {
		t.Error("a plan without a clock")
	}
}

// TestAUsedUpPlanHoldsTelemetry, and only that, until the month ends.
func TestAUsedUpPlanHoldsTelemetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cal := &calendar{}
		cal.set(t, "2026-11-25T12:00:00Z")
		r := run(t, 0, auto, bodies(10, 300), func(o *uplink.Options) {
			o.Meter = newMeter(t, uplink.MeterOptions{Plan: monthly, Clock: cal})
		})
		s := r.hub.session(0)
		equal(t, "within the plan", s.published(), []uint64{1, 2, 3, 4})
		for _, lane := range []gateway.Lane{gateway.LaneAlerts, gateway.LaneResults, gateway.LaneGaps} {
			r.store.AddTo(lane, []byte("{}"))
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		equal(t, "beyond it", s.published(), []uint64{1, 2, 3, 4, 11, 12, 13})
		if p := r.Stats().Plan; p == nil || p.State != uplink.PlanHeld || p.Used != 1206 {
			t.Errorf("plan %+v", p)
		}
		cal.set(t, "2026-12-15T00:00:00Z")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		equal(t, "in the next month", s.published(), []uint64{1, 2, 3, 4, 11, 12, 13, 5, 6, 7, 8})
		r.stop()
	})
}

// TestUsageAddsUp: what no packet was said to be is the connection's.
func TestUsageAddsUp(t *testing.T) {
	m := newMeter(t, uplink.MeterOptions{})
	m.Socket(1000, 2000)
	for p, n := range map[uplink.Purpose]int{uplink.ForTelemetry: 1, uplink.ForRecords: 2, uplink.ForCommands: 4, uplink.ForKeepAlive: 8, uplink.ForUploads: 32, uplink.ForConnection: 16} {
		m.Packet(p, n, 10*n)
	}
	u := m.Bytes()
	if fmt.Sprint(u) != "{{1 10} {2 20} {4 40} {8 80} {32 320} {953 1530}}" || u.Total() != (uplink.Traffic{In: 1000, Out: 2000}) {
		t.Errorf("usage %v", u)
	}
	var none *uplink.Meter
	none.Socket(1, 1)
	none.Packet(uplink.ForTelemetry, 1, 1)
}

// TestPlanChanges: the month goes on with what it has used; a plan where there was none
// begins at zero.
func TestPlanChanges(t *testing.T) {
	cal := &calendar{}
	cal.set(t, "2026-11-25T12:00:00Z")
	m := newMeter(t, uplink.MeterOptions{Clock: cal})
	m.Socket(500, 0)
	if m.Planned() || m.State() != uplink.PlanFree {
		t.Error("planned without a plan")
	}
	if err := m.SetPlan(monthly); err != nil {
		t.Fatal(err)
	}
	m.Socket(900, 0)
	if s := m.Standing(); s.Used != 900 || s.State != uplink.PlanThinning || s.Resets.Format(time.DateOnly) != "2026-12-15" {
		t.Errorf("a new plan: %+v", s)
	}
	other := monthly
	other.Monthly, other.ResetsOn = 900, 1
	if err := m.SetPlan(other); err != nil {
		t.Fatal(err)
	}
	if s := m.Standing(); s.Used != 900 || s.State != uplink.PlanHeld || s.Resets.Format(time.DateOnly) != "2026-12-01" {
		t.Errorf("another plan: %+v", s)
	}
	other.ResetsOn = 31
	if err := m.SetPlan(other); err == nil {
		t.Error("a wrong plan was taken")
	}
	if err := m.SetPlan(uplink.Plan{}); err != nil || m.Planned() || m.State() != uplink.PlanFree || m.Thinning() != 0 {
		t.Errorf("no plan any more: %v, %s", err, m.State())
	}
}
