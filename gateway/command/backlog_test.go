package command_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/command"
)

// TestBacklogIsBounded for one device, so that others have room, and in all.
func TestBacklogIsBounded(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.busy()
		r.fan.act = r.pump.act
		r.valve.act = r.pump.act
		fill := func(device gateway.DeviceID) (n int) {
			for {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				err := r.inboxOf(device).Accept(ctx, gateway.Command{ID: fmt.Sprint(device, n), Device: device, Action: "slow"})
				cancel()
				if err != nil {
					if !errors.Is(err, gateway.ErrFull) {
						t.Error(err)
					}
					return n
				}
				n++
				synctest.Wait()
			}
		}
		for _, want := range []struct {
			device gateway.DeviceID
			n      int
		}{{"pump", 51}, {"fan", 51}, {"valve", 0}} { // one of each runs
			if n := fill(want.device); n != want.n {
				t.Errorf("%s took %d commands, want %d", want.device, n, want.n)
			}
		}
		go r.inbox.Accept(t.Context(), long("held"))
		synctest.Wait()
		if !r.hasCondition("command-backlog") {
			t.Error("nothing says that commands are held back")
		}
		cancel := func(device string, from, to int) {
			for i := from; i < to; i++ {
				if _, err := r.Cancel(t.Context(), fmt.Sprint(device, i), "operator"); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		if cancel("pump", 50, 51); r.disk.held("held") == nil {
			t.Error("there is room and nobody uses it")
		}
		if !r.hasCondition("command-backlog") {
			t.Error("it comes and goes with each command")
		}
		cancel("pump", 25, 50)
		if cancel("fan", 25, 51); r.hasCondition("command-backlog") {
			t.Error("there is room for many more")
		}
	})
}

// TestBacklogIsBoundedInBytes: arguments can be large.
func TestBacklogIsBoundedInBytes(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.busy()
		big := func(i int) gateway.Command {
			cmd := long(fmt.Sprint("c", i))
			cmd.Args = map[string]any{"text": strings.Repeat("x", 60<<10)}
			return cmd
		}
		r.accept(long("first"))
		synctest.Wait()
		took := 0
		for ; took < 50; took++ {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := r.inbox.Accept(ctx, big(took+1))
			cancel()
			if err != nil {
				break
			}
		}
		if took != 8 { // of 60 KiB in 512 KiB
			t.Errorf("%d commands of 60 KiB wait", took)
		}
	})
}

// TestWaitingTakesLittleMemory: what commands ask for is on disk only.
func TestWaitingTakesLittleMemory(t *testing.T) {
	const commands, each = 40, 12 << 10
	run(t, func(t *testing.T, r *rig) {
		r.busy()
		r.accept(long("first"))
		synctest.Wait()
		before := heap()
		for i := range commands {
			cmd := long(fmt.Sprint("c", i))
			cmd.Args = map[string]any{"text": strings.Repeat("x", each)}
			r.accept(cmd)
		}
		synctest.Wait()
		r.disk.mu.Lock()
		held := r.disk.entries
		r.disk.entries = nil
		r.disk.mu.Unlock()
		clear(held)
		if more := heap() - before; more > commands*each/4 {
			t.Errorf("%d commands of %d bytes take %d bytes of memory", commands, each, more)
		}
	})
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestEntryThatCannotBeRead holds up what is behind it for some seconds only.
func TestEntryThatCannotBeRead(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		reads := 0
		r.disk.setFault(func(op string) error {
			if op == "entry" {
				reads++
			}
			if op == "entry" && reads <= 5 {
				return errors.New("checksum")
			}
			return nil
		})
		r.accept(pulse("damaged"), pulse("next"))
		time.Sleep(time.Second)
		if !r.hasCondition("command-journal") {
			t.Error("no condition")
		}
		if got := r.result("next"); got.Status != gateway.StatusDone || r.hasCondition("command-journal") {
			t.Errorf("%+v", got)
		}
		if did := r.pump.done(); !slices.Equal(did, []string{"next"}) {
			t.Errorf("executed %v", did)
		}
	})
}

// TestNobodyWaitsForWhatWasPassedOver.
func TestNobodyWaitsForWhatWasPassedOver(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.disk.setFault(func(op string) error {
			if op == "entry" {
				return errors.New("checksum")
			}
			return nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for range 2 { // one that waits, and one that asks again
			if _, err := r.Do(ctx, pulse("damaged")); !errors.Is(err, gateway.ErrUnavailable) {
				t.Errorf("%v, want gateway.ErrUnavailable", err)
			}
		}
	})
}

// TestJournalThatCannotBeReadForNow: as on a disk that is full, for as long as that
// lasts. No command is passed over, and the devices can be changed.
func TestJournalThatCannotBeReadForNow(t *testing.T) {
	run(t, func(t *testing.T, r *rig) {
		r.disk.setFault(func(op string) error {
			if op == "entry" {
				return fmt.Errorf("the store is closed for now: %w", gateway.ErrUnavailable)
			}
			return nil
		})
		r.accept(pulse("first"), pulse("next"))
		time.Sleep(time.Hour)
		if err := r.Change(t.Context(), func() command.Devices {
			d := r.devices()
			delete(d.Actuators, "fan")
			d.Actuators["pump"] = r.fan // it is another one now
			return d
		}); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if !r.hasCondition("command-journal") {
			t.Error("no condition")
		}
		r.disk.setFault(nil)
		if got := r.result("next"); got.Status != gateway.StatusDone || r.hasCondition("command-journal") {
			t.Errorf("%+v", got)
		}
		if did := r.fan.done(); !slices.Equal(did, []string{"first", "next"}) {
			t.Errorf("executed %v", did)
		}
	})
}
