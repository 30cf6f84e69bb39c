package uplink_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// counter is an inbox in which commands for the device slow wait for free.
type counter struct {
	free chan struct{}

	mu       sync.Mutex
	accepted []string
}

func (c *counter) Accept(ctx context.Context, cmd gateway.Command) error {
	if cmd.Device == "slow" {
		select {
		case <-c.free:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accepted = append(c.accepted, cmd.ID)
	return nil
}

func (c *counter) Refuse(context.Context, gateway.Command, []byte, string) error { return nil }

func (c *counter) list() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.accepted)
}

// arrivals is one session in virtual time.
type arrivals struct {
	*uplink.Arrivals
	inbox *counter
	acked []string // only to be read when nothing runs
	end   func()
}

func inSession(t *testing.T, body func(t *testing.T, a *arrivals)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		a := &arrivals{inbox: &counter{free: make(chan struct{})}}
		a.Arrivals = uplink.Intake{Inbox: a.inbox, Log: slog.New(slog.DiscardHandler)}.Begin(ctx)
		a.end = func() { cancel(); a.Wait() }
		defer a.end()
		body(t, a)
	})
}

func (a *arrivals) send(device, id string, bytes int) {
	a.Take(uplink.Arrival{
		Command: gateway.Command{ID: id, Device: gateway.DeviceID(device)}, Raw: make([]byte, bytes),
		Ack: func() { a.acked = append(a.acked, id) },
	})
}

// A device whose commands wait holds up no other; confirmations keep their order
// all the same, as MQTT wants it.
func TestSlowDeviceHoldsUpNobody(t *testing.T) {
	inSession(t, func(t *testing.T, a *arrivals) {
		a.send("fan", "f1", 1)
		synctest.Wait()
		a.send("slow", "s1", 1)
		a.send("fan", "f2", 1)
		a.send("slow", "s2", 1)
		a.Pass(func() { a.acked = append(a.acked, "none") })
		a.send("fan", "f3", 1)
		synctest.Wait()
		if got := a.inbox.list(); !slices.Equal(got, []string{"f1", "f2", "f3"}) {
			t.Errorf("taken %v", got)
		}
		if !slices.Equal(a.acked, []string{"f1"}) {
			t.Errorf("confirmed %v before s1 was taken", a.acked)
		}
		a.inbox.free <- struct{}{}
		synctest.Wait()
		if !slices.Equal(a.acked, []string{"f1", "s1", "f2"}) {
			t.Errorf("confirmed %v", a.acked)
		}
		a.inbox.free <- struct{}{}
		synctest.Wait()
		if !slices.Equal(a.acked, []string{"f1", "s1", "f2", "s2", "none", "f3"}) {
			t.Errorf("confirmed %v", a.acked)
		}
	})
}

// What one session may bring is bounded, by number and by bytes; a message that
// alone is above the bound gets in when nothing else is there.
func TestArrivalsAreBounded(t *testing.T) {
	for _, tt := range []struct{ bytes, want int }{{1, 1024}, {64 << 10, 64}, {5 << 20, 1}} {
		t.Run(fmt.Sprint(tt.bytes), func(t *testing.T) {
			inSession(t, func(t *testing.T, a *arrivals) {
				sent, over := 0, make(chan struct{})
				go func() {
					defer close(over)
					for i := range tt.want + 2 {
						a.send("slow", fmt.Sprint(i), tt.bytes)
						sent++
					}
				}()
				synctest.Wait()
				if sent != tt.want {
					t.Fatalf("%d messages got in, want %d", sent, tt.want)
				}
				a.inbox.free <- struct{}{}
				synctest.Wait()
				if sent != tt.want+1 {
					t.Errorf("%d messages got in after one was confirmed, want %d", sent, tt.want+1)
				}
				a.end() // frees whoever waits
				<-over
				if !slices.Equal(a.acked, []string{"0"}) {
					t.Errorf("confirmed %v", a.acked)
				}
			})
		})
	}
}

// TestStuckDeviceHoldsTheLineForAWhile: then what comes is left with the server, all of
// it, until there is room, when it may come again on another connection.
func TestStuckDeviceHoldsTheLineForAWhile(t *testing.T) {
	inSession(t, func(t *testing.T, a *arrivals) {
		start := time.Now()
		for i := range 1100 {
			a.send("slow", fmt.Sprint(i), 1)
		}
		a.send("fan", "late", 1)
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("the line was held for %v", took)
		}
		for i := range 1024 {
			select {
			case <-a.Renew():
				t.Fatalf("worth while again with %d that are not confirmed", 1024-i)
			default:
			}
			if a.inbox.free <- struct{}{}; i == 1024-256-1 {
				break
			}
			synctest.Wait()
		}
		synctest.Wait()
		select {
		case <-a.Renew():
		default:
			t.Error("nobody says that there is room")
		}
		a.send("fan", "later", 1)
		synctest.Wait()
		if len(a.acked) != 1024-256 || slices.Contains(a.inbox.list(), "late") || slices.Contains(a.inbox.list(), "later") {
			t.Errorf("%d confirmed, the last taken are %v", len(a.acked), a.inbox.list()[len(a.inbox.list())-3:])
		}
	})
}
