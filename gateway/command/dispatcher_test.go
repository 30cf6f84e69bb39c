package command_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestDone(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.pump.act = func(context.Context, gateway.Command) (map[string]any, error) {
			return map[string]any{"flow": 1.5}, nil
		}
		r.accept(pulse("c1"))
		got := r.result("c1")
		if got.Status != gateway.StatusDone || got.Values["flow"] != 1.5 {
			t.Errorf("result %+v", got)
		}
		m := r.disk.messages[0]
		want := `{"command":"c1","device":"pump","action":"pulse","status":"done","values":{"flow":1.5},"finished":"2000-01-01T00:00:00Z"}`
		if string(m.Body) != want || m.CorrelationID != "c1" || m.Kind != gateway.KindResult ||
			m.ID.Lane != gateway.LaneResults || m.ContentType != "application/json" || m.Created.IsZero() {
			t.Errorf("message %+v\n%s", m, m.Body)
		}
		r.accept(gateway.Command{ID: "c2", Device: "door", Action: "open", Origin: gateway.OriginRule})
		r.result("c2")
		s := r.Stats()
		if want := map[gateway.Status]uint64{gateway.StatusDone: 1, gateway.StatusDenied: 1}; !maps.Equal(s.Final, want) {
			t.Errorf("counted %v, want %v", s.Final, want)
		}
		if len(s.FinalBy) != 2 || s.FinalBy[gateway.OriginC2D][gateway.StatusDone] != 1 || s.FinalBy[gateway.OriginRule][gateway.StatusDenied] != 1 {
			t.Errorf("counted by origin: %v", s.FinalBy)
		}
	})
}

// TestFinalStates goes through the ways in which a command ends without a
// fault of the gateway.
func TestFinalStates(t *testing.T) {
	past := time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		name      string
		cmd       gateway.Command
		act       error
		untrusted bool
		want      gateway.Status
		detail    string
		acted     bool
	}{
		{name: "unknown device", cmd: gateway.Command{Device: "door", Action: "open"}, want: gateway.StatusDenied, detail: "fan, pump"},
		{name: "sensor", cmd: gateway.Command{Device: "air", Action: "open"}, want: gateway.StatusDenied, detail: "cannot be asked"},
		{name: "unknown action", cmd: gateway.Command{Device: "pump", Action: "jump"}, want: gateway.StatusDenied, detail: "pulse, set, slow, series"},
		{name: "no action", cmd: gateway.Command{Device: "useless", Action: "jump"}, want: gateway.StatusDenied, detail: "can: nothing"},
		{name: "actions not known", cmd: gateway.Command{Device: "unmade", Action: "pulse"}, want: gateway.StatusFailed, detail: "as it is"},
		{name: "bad argument", cmd: gateway.Command{Device: "pump", Action: "set", Args: map[string]any{"level": 101.0}}, want: gateway.StatusDenied, detail: "level"},
		{name: "expired", cmd: gateway.Command{Device: "pump", Action: "pulse", Expires: past}, want: gateway.StatusExpired, detail: "24h0m0s"},
		{name: "expiry without a clock", cmd: gateway.Command{Device: "pump", Action: "pulse", Expires: past}, untrusted: true, want: gateway.StatusDenied, detail: "does not know the time"},
		{name: "no expiry without a clock", cmd: gateway.Command{Device: "pump", Action: "pulse"}, untrusted: true, want: gateway.StatusDone, acted: true},
		{name: "driver denies", cmd: gateway.Command{Device: "pump", Action: "pulse"}, act: fmt.Errorf("dry: %w", gateway.ErrDenied), want: gateway.StatusDenied, detail: "dry", acted: true},
		{name: "driver says expired", cmd: gateway.Command{Device: "pump", Action: "pulse"}, act: gateway.ErrExpired, want: gateway.StatusExpired, acted: true},
		{name: "driver fails", cmd: gateway.Command{Device: "pump", Action: "pulse"}, act: errors.New("short circuit"), want: gateway.StatusFailed, detail: "short circuit", acted: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(t *testing.T, r *rig) {
				r.clock.untrusted = tt.untrusted
				r.pump.act = func(context.Context, gateway.Command) (map[string]any, error) { return nil, tt.act }
				tt.cmd.ID = "c1"
				r.accept(tt.cmd)
				got := r.result("c1")
				if got.Status != tt.want || !strings.Contains(got.Detail, tt.detail) {
					t.Errorf("got %s, %q; want %s, %q", got.Status, got.Detail, tt.want, tt.detail)
				}
				if acted := len(r.pump.done()) > 0; acted != tt.acted {
					t.Errorf("acted: %v", acted)
				}
			})
		})
	}
}

// TestDeviceThatIsMadeLater takes commands from then on.
func TestDeviceThatIsMadeLater(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.unmade.made.Store(true)
		r.accept(gateway.Command{ID: "c1", Device: "unmade", Action: "pulse"})
		if got := r.result("c1"); got.Status != gateway.StatusDone {
			t.Errorf("%+v", got)
		}
	})
}

func TestExpiryIsCheckedLast(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.pump.act = func(context.Context, gateway.Command) (map[string]any, error) {
			time.Sleep(3 * time.Second)
			return nil, nil
		}
		late := pulse("late")
		late.Expires = time.Now().Add(2 * time.Second)
		r.accept(pulse("first"), late)
		if got := r.result("late"); got.Status != gateway.StatusExpired {
			t.Errorf("a command that expired in the queue is %s", got.Status)
		}
	})
}

func TestExpiryWhileTheJournalFails(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		cmd := pulse("c1")
		cmd.Expires = time.Now().Add(time.Minute)
		r.disk.setFault(func(op string) error {
			if op == "start" && time.Now().Before(cmd.Expires) {
				return gateway.ErrFull
			}
			return nil
		})
		r.accept(cmd)
		time.Sleep(30 * time.Second)
		if !r.hasCondition("command-journal") {
			t.Error("no condition says that commands wait")
		}
		if got := r.result("c1"); got.Status != gateway.StatusExpired || len(r.pump.done()) != 0 {
			t.Errorf("%s, executed %v", got.Status, r.pump.done())
		}
		if r.hasCondition("command-journal") {
			t.Error("the condition stays")
		}
	})
}

func TestDriverThatKeepsItsDeadline(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.pump.act = func(ctx context.Context, _ gateway.Command) (map[string]any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		r.accept(pulse("c1"))
		got := r.result("c1")
		if got.Status != gateway.StatusFailed || !strings.Contains(got.Detail, "did not answer in 10s") {
			t.Errorf("%s, %q", got.Status, got.Detail)
		}
		if r.hasCondition("actuator:pump") {
			t.Error("the device counts as stuck")
		}
	})
}

func TestStuckDevice(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		free := make(chan struct{})
		r.pump.act = func(_ context.Context, cmd gateway.Command) (map[string]any, error) {
			if cmd.ID == "c1" {
				<-free
			}
			return nil, nil
		}
		r.accept(pulse("c1"), pulse("c2"), gateway.Command{ID: "f1", Device: "fan", Action: "pulse"})
		synctest.Wait()
		if e := r.disk.held("f1"); e.Result == nil {
			t.Error("another device is held up")
		}
		if got := r.result("c1"); got.Status != gateway.StatusFailed || !strings.Contains(got.Detail, "did not answer in 10s") {
			t.Errorf("c1: %s, %q", got.Status, got.Detail)
		}
		synctest.Wait()
		if got := r.result("c2"); got.Status != gateway.StatusFailed || !strings.Contains(got.Detail, "not come back") {
			t.Errorf("c2: %s, %q", got.Status, got.Detail)
		}
		time.Sleep(10 * time.Minute)
		if !r.hasCondition("actuator:pump") || r.Stats().Devices[1].StuckSince.IsZero() {
			t.Error("nothing says that the device is stuck")
		}
		if stuck := r.board.Stuck(); stuck != nil {
			t.Errorf("a stuck device trips %v", stuck)
		}
		close(free)
		synctest.Wait()
		if r.hasCondition("actuator:pump") {
			t.Error("the condition stays after the driver has come back")
		}
		r.accept(pulse("c3"))
		if got := r.result("c3"); got.Status != gateway.StatusDone {
			t.Errorf("c3: %s, %q", got.Status, got.Detail)
		}
		if got := r.pump.done(); !slices.Equal(got, []string{"c1", "c3"}) {
			t.Errorf("executed %v", got)
		}
	})
}

func TestLongActionTripsNothing(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.pump.act = func(context.Context, gateway.Command) (map[string]any, error) {
			time.Sleep(50 * time.Minute)
			return nil, nil
		}
		r.accept(gateway.Command{ID: "c1", Device: "pump", Action: "slow"})
		for range 50 {
			time.Sleep(time.Minute - time.Second)
			if stuck := r.board.Stuck(); stuck != nil {
				t.Fatalf("silent: %v", stuck)
			}
		}
		if running := r.Stats().Devices[1].Running; running == nil || running.Command != "c1" {
			t.Errorf("running %+v", running)
		}
		if got := r.result("c1"); got.Status != gateway.StatusDone {
			t.Errorf("%s, %q", got.Status, got.Detail)
		}
	})
}

func TestPanicInDriver(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.pump.act = func(context.Context, gateway.Command) (map[string]any, error) { panic("no such pin") }
		r.accept(pulse("c1"))
		if got := r.result("c1"); got.Status != gateway.StatusFailed || !strings.Contains(got.Detail, "no such pin") {
			t.Errorf("%s, %q", got.Status, got.Detail)
		}
		if err := r.halt(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(r.logs.String(), "dispatcher_test.go") {
			t.Error("the log does not say where")
		}
	})
}

func TestValuesThatCannotTravel(t *testing.T) {
	for name, v := range map[string]any{"not a number": math.NaN(), "too long": strings.Repeat("x", 100_000)} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, r *rig) {
				r.pump.act = func(context.Context, gateway.Command) (map[string]any, error) {
					return map[string]any{"v": v}, nil
				}
				r.accept(pulse("c1"))
				if got := r.result("c1"); got.Status != gateway.StatusDone || got.Values != nil || got.Detail == "" {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

func TestFinishIsTriedAgain(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.disk.setFault(func(op string) error {
			if op == "finish" {
				return gateway.ErrFull
			}
			return nil
		})
		r.accept(pulse("c1"))
		time.Sleep(10 * time.Minute)
		if stuck := r.board.Stuck(); stuck != nil {
			t.Errorf("silent: %v", stuck)
		}
		if e := r.disk.held("c1"); e.Result != nil || !r.hasCondition("command-journal") {
			t.Errorf("entry %+v", e)
		}
		r.disk.setFault(nil)
		if got := r.result("c1"); got.Status != gateway.StatusDone {
			t.Errorf("%s", got.Status)
		}
		if did := r.pump.done(); len(did) != 1 || len(r.disk.results()) != 1 {
			t.Errorf("executed %v, reported %d times", did, len(r.disk.results()))
		}
	})
}

func TestBurst(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		var want []string
		for i := range 2000 {
			id := fmt.Sprint("c", i)
			want = append(want, id)
			r.accept(pulse(id), gateway.Command{ID: "x" + id, Device: "nobody", Action: "pulse"})
		}
		r.result("c1999")
		r.result("xc1999")
		if !slices.Equal(r.pump.done(), want) {
			t.Error("not executed in order, each once")
		}
		if s := r.Stats(); s.Final[gateway.StatusDone] != 2000 || s.Final[gateway.StatusDenied] != 2000 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
	})
}
