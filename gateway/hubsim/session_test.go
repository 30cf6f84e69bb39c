package hubsim

import (
	"errors"
	"testing"

	mochi "github.com/mochi-mqtt/server/v2"
)

// A SUBSCRIBE may arrive while its device is being deleted, or while a newer
// connection takes over. It must leave no line behind that the next start
// stumbles over, and must not change the session of the newer one.
func TestSubscriptionOfAConnectionThatIsOver(t *testing.T) {
	r := startRig(t)
	attach := func(id string) *conn {
		t.Helper()
		i, _ := r.state.identity(id)
		c := newConn(r.Hub, &mochi.Client{}, i, "", false)
		if _, err := r.state.attach(c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	older, newer := attach("d1"), attach("d1")
	mine := map[string]byte{deviceboundTopic("d1") + "#": 1}
	if err := r.state.subscribe(newer, mine); err != nil {
		t.Fatal(err)
	}
	if err := r.state.subscribe(older, map[string]byte{deviceboundTopic("d1") + "#": refused}); !errors.Is(err, errOver) {
		t.Errorf("the older connection: error %v, want %v", err, errOver)
	}
	if r.state.devices["d1"].filters[deviceboundTopic("d1")+"#"] != 1 {
		t.Error("the older connection has changed the session")
	}
	r.state.detach(newer)

	late := attach("d2")
	r.state.devices["d2"].conn = nil // it has no socket that could be cut
	if err := r.state.remove("d2", "*"); err != nil {
		t.Fatal(err)
	}
	if err := r.state.subscribe(late, mine); !errors.Is(err, errOver) {
		t.Errorf("a deleted device: error %v, want %v", err, errOver)
	}
	r = r.restart()
	if _, ok := r.state.identity("d1"); !ok {
		t.Error("the state is gone")
	}
}
