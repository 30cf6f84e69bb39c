package command_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// TestResultsBeforeTheTimeIsKnown name the boot by which they can be dated later.
func TestResultsBeforeTheTimeIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.clock.untrusted, r.clock.undated = true, true
		r.start()
		r.accept(pulse("early"))
		early := r.result("early")
		if err := r.inbox.Refuse(t.Context(), gateway.Command{ID: "refused"}, nil, "no JSON"); err != nil {
			t.Fatal(err)
		}
		r.clock.trust()
		r.accept(pulse("late"))
		late := r.result("late")
		if err := r.halt(); err != nil {
			t.Fatal(err)
		}
		if _, undated := gateway.Uptime(early.Finished); !undated || early.Boot != "b1" {
			t.Errorf("before the time is known: %+v", early)
		}
		if _, undated := gateway.Uptime(late.Finished); undated || late.Boot != "" {
			t.Errorf("afterwards: %+v", late)
		}
		for _, res := range r.disk.results() {
			if res.CommandID == "refused" && res.Boot != "b1" {
				t.Errorf("of what was refused: %+v", res)
			}
		}
	})
}

// TestRepeatedResultOfAnotherBoot: its message is dated by the boot that it names.
func TestRepeatedResultOfAnotherBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.clock.untrusted, r.clock.undated = true, true
		r.start()
		r.accept(pulse("c"))
		first := r.result("c")
		r.clock.later = time.Hour
		r.accept(pulse("c"))
		synctest.Wait()
		if err := r.halt(); err != nil {
			t.Fatal(err)
		}
		if len(r.disk.messages) != 2 {
			t.Fatalf("%d messages, want the result and its repetition", len(r.disk.messages))
		}
		for _, m := range r.disk.messages {
			if !m.Created.Equal(first.Finished) {
				t.Errorf("%s created %v, want %v", m.Body, m.Created, first.Finished)
			}
		}
	})
}
