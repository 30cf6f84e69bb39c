package command_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/command"
)

func (r *rig) child() *command.Inbox { return command.NewChildInbox(r.Dispatcher, "node7") }

func turn(id string) gateway.Command {
	return gateway.Command{ID: id, Device: "valve", Action: "pulse", Origin: gateway.OriginC2D}
}

// answers are the results on disk, in order, each with its lane.
func answers(t *testing.T, r *rig) (all []string) {
	t.Helper()
	synctest.Wait()
	for _, m := range r.disk.messages {
		if m.Kind != gateway.KindResult {
			continue
		}
		var result gateway.Result
		if err := json.Unmarshal(m.Body, &result); err != nil || result.CommandID != m.CorrelationID {
			t.Errorf("result %s, correlated to %q: %v", m.Body, m.CorrelationID, err)
		}
		all = append(all, string(m.ID.Lane)+" "+result.CommandID+" "+string(result.Status))
	}
	return all
}

func wantAnswers(t *testing.T, r *rig, want ...string) {
	t.Helper()
	if got := answers(t, r); strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("answers %q, want %q", got, want)
	}
}

// The same id from senders of two identities is two commands; each result goes
// back to the identity that was asked.
func TestAChildHasIDsAndResultsOfItsOwn(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		for range 2 {
			if err := r.child().Accept(t.Context(), turn("1")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		r.accept(pulse("1"))
		wantAnswers(t, r, "node7_results 1 done", "node7_results 1 done", "results 1 done")
		if did := r.valve.done(); len(did) != 1 || did[0] != "1" {
			t.Errorf("the valve did %q, want 1 once", did)
		}
		if did := r.pump.done(); len(did) != 1 {
			t.Errorf("the pump did %q", did)
		}
	})
}

// Nobody reaches a device through an identity that it does not belong to.
func TestDevicesAreReachedByTheirOwnIdentity(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.accept(turn("a"))
		for _, cmd := range []gateway.Command{pulse("b"), {ID: "c", Device: "nobody", Action: "pulse"}} {
			if err := r.child().Accept(t.Context(), cmd); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.child().Refuse(t.Context(), gateway.Command{ID: "d", Origin: gateway.OriginC2D}, []byte("?"), "no command"); err != nil {
			t.Fatal(err)
		}
		wantAnswers(t, r, "results a denied", "node7_results b denied", "node7_results c denied", "node7_results d denied")
		if _, err := r.inbox.Call(t.Context(), turn("e")); !errors.Is(err, gateway.ErrUnknown) || !strings.Contains(err.Error(), "node7") {
			t.Errorf("a method: %v", err)
		}
		if _, err := r.child().Call(t.Context(), pulse("f")); !errors.Is(err, gateway.ErrUnknown) || !strings.Contains(err.Error(), "valve") {
			t.Errorf("a method to the child: %v", err)
		}
		if len(r.pump.done())+len(r.valve.done()) > 0 {
			t.Error("something was done")
		}
	})
}

func TestAChildIsCalled(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		wait, err := r.child().Call(t.Context(), turn("m"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := wait(t.Context()); err != nil || got.CommandID != "m" || got.Status != gateway.StatusDone {
			t.Errorf("got %+v, %v", got, err)
		}
		wantAnswers(t, r, "node7_results m done")
	})
}

// What this board itself asks a child's device to do is reported by the child.
func TestLocalCommandsOfAChildsDevice(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		if got, err := r.Do(t.Context(), turn("")); err != nil || got.Status != gateway.StatusDone {
			t.Fatalf("got %+v, %v", got, err)
		}
		if got := answers(t, r); len(got) != 1 || !strings.HasPrefix(got[0], "node7_results local-") {
			t.Errorf("answers %q", got)
		}
	})
}
