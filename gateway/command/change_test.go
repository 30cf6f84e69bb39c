package command_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/command"
)

// order is a command for a device of the rig.
func order(id string, device gateway.DeviceID, action string) gateway.Command {
	return gateway.Command{ID: id, Device: device, Action: action, Origin: gateway.OriginC2D}
}

// holding is an act that lasts until it is released.
func holding(release <-chan struct{}) func(context.Context, gateway.Command) (map[string]any, error) {
	return func(context.Context, gateway.Command) (map[string]any, error) {
		<-release
		return nil, nil
	}
}

// TestWhatWaitsGoesOnWithOtherDevices: with the one of the same name, if that has been
// replaced, or to its end if there is none any more.
func TestWhatWaitsGoesOnWithOtherDevices(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		release := make(chan struct{})
		r.pump.act, r.fan.act = holding(release), holding(release)
		for i := range 3 {
			r.accept(order(fmt.Sprint("p", i), "pump", "pulse"))
			r.accept(order(fmt.Sprint("f", i), "fan", "pulse"))
		}
		synctest.Wait()
		to, other := r.devices(), &machine{}
		to.Actuators["pump"], to.Actuators["lamp"] = other, &machine{}
		delete(to.Actuators, "fan")
		done, early := make(chan error, 1), make(chan error, 1)
		go func() {
			done <- r.Change(t.Context(), func() command.Devices {
				if got := r.disk.held("p0").Result; got == nil || r.disk.held("f0").Result == nil {
					t.Error("commands under way have not finished before the devices change")
				}
				go func() { early <- r.inbox.Accept(t.Context(), order("early", "lamp", "pulse")) }()
				return to
			})
		}()
		time.Sleep(time.Second)
		if len(done) > 0 {
			t.Error("the devices change while commands are carried out")
		}
		close(release)
		if err := errors.Join(<-done, <-early); err != nil {
			t.Fatal(err)
		}
		r.accept(order("late", "pump", "pulse"))
		synctest.Wait()
		if got := other.done(); !slices.Equal(got, []string{"p1", "p2", "late"}) || !slices.Equal(r.pump.done(), []string{"p0"}) {
			t.Errorf("the new pump did %v, the old one %v", got, r.pump.done())
		}
		for _, id := range []string{"f1", "f2"} {
			if got := r.result(id); got.Status != gateway.StatusDenied || !strings.Contains(got.Detail, `unknown device "fan"`) {
				t.Errorf("%s: %+v", id, got)
			}
		}
		if got := r.result("early"); got.Status != gateway.StatusDone {
			t.Errorf("for a device that is new: %+v", got)
		}
	})
}

// TestWhatLastsMakesWay: what can go on where it was does so at once, and what can be
// repeated once most others would have ended; both are carried on.
func TestWhatLastsMakesWay(t *testing.T) {
	for _, c := range []struct {
		action string
		within time.Duration
	}{{"series", time.Second}, {"long", 15 * time.Second}} {
		run(t, func(t *testing.T, r *rig) {
			var resumed []bool
			r.pump.act = func(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
				if resumed = append(resumed, cmd.Resumed); cmd.Resumed {
					return nil, nil
				}
				<-ctx.Done()
				return nil, ctx.Err()
			}
			r.accept(order("c", "pump", c.action))
			synctest.Wait()
			began := time.Now()
			if err := r.Change(t.Context(), r.devices); err != nil || time.Since(began) > c.within {
				t.Errorf("%s: after %v: %v", c.action, time.Since(began), err)
			}
			if got := r.result("c"); got.Status != gateway.StatusDone || !slices.Equal(resumed, []bool{false, true}) {
				t.Errorf("%s: %+v, resumed %v", c.action, got, resumed)
			}
		})
	}
}

// TestChangeIsGivenUp: what cannot be cut short is not, and all goes on as before.
func TestChangeIsGivenUp(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		release := make(chan struct{})
		r.pump.act = holding(release)
		r.accept(order("slow", "pump", "slow"))
		r.accept(order("next", "pump", "pulse"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		err := r.Change(ctx, func() command.Devices { t.Error("changed all the same"); return r.devices() })
		if !errors.Is(err, gateway.ErrTimeout) || !strings.Contains(err.Error(), "device pump carries out slow") {
			t.Errorf("error %v", err)
		}
		r.accept(order("fan", "fan", "pulse"))
		if got := r.result("fan"); got.Status != gateway.StatusDone {
			t.Errorf("after a change that was given up: %+v", got)
		}
		close(release)
		if got := r.result("next"); got.Status != gateway.StatusDone {
			t.Errorf("%+v", got)
		}
	})
}

// TestStuckStaysStuck over a change, unless the device is another.
func TestStuckStaysStuck(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		release := make(chan struct{})
		defer close(release)
		r.pump.act = holding(release)
		r.accept(order("stuck", "pump", "pulse"))
		r.result("stuck")
		if err := r.Change(t.Context(), r.devices); err != nil {
			t.Fatal(err)
		}
		r.accept(order("same", "pump", "pulse"))
		if got := r.result("same"); got.Status != gateway.StatusFailed || !strings.Contains(got.Detail, "has not come back") {
			t.Errorf("%+v", got)
		}
		to := r.devices()
		to.Actuators["pump"] = &machine{}
		if err := r.Change(t.Context(), func() command.Devices { return to }); err != nil {
			t.Fatal(err)
		}
		r.accept(order("other", "pump", "pulse"))
		if got := r.result("other"); got.Status != gateway.StatusDone {
			t.Errorf("%+v", got)
		}
		if len(r.board.Conditions()) > 0 {
			t.Errorf("conditions %v", r.board.Conditions())
		}
	})
}

// TestChangesAmidCommands: whatever changes while commands come and go, each has one
// final state, is done once at most, and those of a device that stays are in order.
func TestChangesAmidCommands(t *testing.T) {
	for range 5 {
		run(t, func(t *testing.T, r *rig) {
			const each = 200
			acts := func(context.Context, gateway.Command) (map[string]any, error) {
				time.Sleep(time.Duration(rand.ExpFloat64() * float64(50*time.Millisecond)))
				return nil, nil
			}
			r.fan.act = acts
			pumps := []*machine{{act: acts}}
			sent := make(chan error, 2)
			for _, device := range []gateway.DeviceID{"pump", "fan"} {
				go func() {
					var err error
					for i := range each {
						err = errors.Join(err, r.inbox.Accept(t.Context(), order(fmt.Sprintf("%s%03d", device, i), device, "pulse")))
					}
					sent <- err
				}()
			}
			for n := 0; n < 2; {
				to := r.devices()
				switch rand.IntN(3) {
				case 0:
					delete(to.Actuators, "pump")
				case 1:
					pumps = append(pumps, &machine{act: acts})
					fallthrough
				default:
					to.Actuators["pump"] = pumps[len(pumps)-1]
				}
				if err := r.Change(t.Context(), func() command.Devices { return to }); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
				for ; len(sent) > 0; n++ {
					if err := <-sent; err != nil {
						t.Error(err)
					}
				}
			}
			time.Sleep(time.Minute)
			finals := make(map[string]int)
			for _, res := range r.disk.results() {
				finals[res.CommandID]++
			}
			var done []string
			for _, p := range pumps {
				done = append(done, p.done()...)
			}
			if !slices.IsSorted(done) || len(slices.Compact(slices.Clone(done))) != len(done) {
				t.Errorf("the pumps did %v", done)
			}
			if got := r.fan.done(); len(got) != each || !slices.IsSorted(got) {
				t.Errorf("the fan did %v", got)
			}
			if len(finals) != 2*each {
				t.Errorf("%d commands have a final state, want %d", len(finals), 2*each)
			}
			for id, n := range finals {
				if n != 1 {
					t.Errorf("%s has %d final states", id, n)
				}
			}
		})
	}
}
