package clock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway/clock"
)

// TestTimeBeforeTheBuildIsNotTrusted: such a board has just come up without a
// battery for its clock.
func TestTimeBeforeTheBuildIsNotTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		floor := time.Now().Add(time.Minute)
		c := clock.NewSystem(floor)
		if c.Trusted() {
			t.Error("a minute before the floor the clock is trusted")
		}
		time.Sleep(time.Minute)
		if !c.Trusted() {
			t.Error("from the floor on the clock is not trusted")
		}
		if now := c.Now(); !now.Equal(floor) || now.Location() != time.UTC {
			t.Errorf("it is %v, want %v in UTC", now, floor)
		}
	})
}

func TestBootIDStaysTheSame(t *testing.T) {
	if id := clock.BootID(); id == "" || id != clock.BootID() {
		t.Errorf("boot id %q, want one that stays", id)
	}
}
