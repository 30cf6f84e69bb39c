//go:build bridge

package systemtest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestBridgePutsBack: firmware that does not work, in a simulated ATmega328P. Whatever
// happens amid that, the version before runs in the end, and the command has one result,
// which says why.
func TestBridgePutsBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		image []byte
		amid  func(u *updater, t *testing.T) // while the version before is put back
		want  string
	}{
		"hangs": {
			bytes.Repeat([]byte{0xFF, 0xCF}, 2<<10), // rjmp .-2
			func(u *updater, t *testing.T) {
				u.chip.process.kill()
				u.chip.powerUp(t)
			},
			"after a reset by watchdog", // of the first start or the second
		},
		"another version": {
			nodeImage(t, 2),
			func(u *updater, t *testing.T) {
				u.process.kill()
				u.start(t)
			},
			"node 2.0.0 runs, not 3.0.0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newUpdater(t, 0)
			var b toldBy
			b.await(t, u.hub, "firmware", equals("node 1.0.0"))
			if err := u.send(t, u.images[1]).Wait(); err != nil { // else the gateway has nothing to put back
				t.Fatal(err)
			}
			bad := u.send(t, u.sign(t, c.image, 3))
			defer func() { _ = bad.Wait() }() // a gateway that is killed cannot answer
			eventually(t, time.Minute, func() error {
				s, err := u.status()
				if err == nil && (s.Devices[0].Firmware == nil || s.Devices[0].Firmware.To != "1.0.0") {
					err = fmt.Errorf("version 1 is not put back: %+v", s.Devices[0].Firmware)
				}
				return err
			})
			c.amid(u, t)
			eventually(t, 2*time.Minute, func() error {
				if n := len(u.results(t)); n < 2 {
					return fmt.Errorf("%d results", n)
				}
				return nil
			})
			b.await(t, u.hub, "firmware.update", equals("failed"))
			b.await(t, u.hub, "firmware", equals("node 1.0.0"))
			if got := u.chip.holds(t); got != 1 {
				t.Errorf("version %d is in it, want 1", got)
			}
			results := u.results(t)
			if r := results[len(results)-1]; len(results) != 2 || r.Status != "failed" || !strings.Contains(r.Detail, c.want) || !strings.Contains(r.Detail, "1.0.0 was put back and runs") {
				t.Errorf("%+v", results)
			}
		})
	}
}
