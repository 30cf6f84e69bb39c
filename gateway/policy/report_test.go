package policy

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// jam is a log that takes nothing until it is opened.
type jam struct{ open chan struct{} }

func (jam) Enabled(context.Context, slog.Level) bool { return true }
func (j jam) Handle(context.Context, slog.Record) error {
	<-j.open
	return nil
}
func (j jam) WithAttrs([]slog.Attr) slog.Handler { return j }
func (j jam) WithGroup(string) slog.Handler      { return j }

// TestFullLogHoldsUpNoSafeState: nor a command.
func TestFullLogHoldsUpNoSafeState(t *testing.T) {
	c := map[gateway.DeviceID]Terms{"pump": {MaxOn: time.Minute}, "fan": {SafeAfter: SafeAfter{Silence: 2 * time.Minute}}}
	inBubble(t, c, func(_ *testing.T, r *rig) {
		r.stop()
		log := jam{make(chan struct{})}
		r.opts.Log = slog.New(log)
		r.opts.Health = health.NewBoard(r.opts.Log)
		r.start()
		r.must("pump", "on")
		r.must("fan", "on")
		time.Sleep(time.Minute)
		r.is("pump", false)
		time.Sleep(time.Minute)
		r.is("fan", false)
		r.must("pump", "on")
		r.is("pump", true)
		close(log.open)
	})
}
