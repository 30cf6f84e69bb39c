package mcu

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/gateway"
)

// Run implements gateway.Stream.
func (d *Dev) Run(ctx context.Context, sink gateway.Sink) error {
	conn := d.next(ctx, nil)
	if conn == nil {
		return bus.ErrNotOpen
	}
	if !d.mayRun(ctx) {
		return errLoader
	}
	ctx, cancel := context.WithCancel(ctx)
	var pacing sync.WaitGroup
	defer pacing.Wait()
	defer cancel()
	d.tellTo(sink)
	defer d.tellTo(nil)
	pacing.Go(func() { d.pace(ctx, conn, sink) })
	t := teller{Dev: d, conn: conn, sink: sink, strange: make(map[uint8]bool)}
	for {
		err := t.conn.Each(ctx, func(e link.Event) error { return t.event(ctx, e) })
		if t.conn.Err() == nil || ctx.Err() != nil {
			return err
		}
		next := d.next(ctx, t.conn)
		if next == nil {
			return lost(t.conn, err)
		}
		t.conn = next
	}
}

// loaderTime is how long a loader may run before that is told: an update may be about
// to go on.
const loaderTime = 2 * time.Second

// mayRun says that there is an application, or an update that will bring one.
func (d *Dev) mayRun(ctx context.Context) bool {
	timer := time.NewTimer(loaderTime)
	defer timer.Stop()
	for {
		d.mu.Lock()
		loader, updating, changed := d.hello.Role == link.Loader, d.updating != nil, d.changed
		d.mu.Unlock()
		if !loader || updating {
			return true
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// teller hands on what a microcontroller tells.
type teller struct {
	*Dev
	conn *link.Conn
	sink gateway.Sink
	// strange are channels that the descriptor does not have, each logged once.
	strange map[uint8]bool
	// lines of its log came since minute.
	lines  int
	minute time.Time
	// untold is a session that was over before it was known who was there.
	untold link.Began
}

// event takes an event over; on error it comes again.
func (t *teller) event(ctx context.Context, e link.Event) error {
	switch e := e.(type) {
	case link.Began:
		return t.began(ctx, e)
	case link.Readings:
		return t.readings(ctx, e)
	case link.Gap:
		t.log.Warn("readings are lost: the microcontroller had no room for what did not come over", "count", e.Count())
		return t.sink.Gap(ctx, gateway.Gap{First: seq(e.First), Last: seq(e.Last), Count: uint64(e.Count()), Reason: gateway.GapLink})
	case link.Line:
		t.line(ctx, e)
	}
	return nil
}

// seq is the number of a reading as the gateway counts.
func seq(number uint32) uint64 { return uint64(number) + 1 }

// readings hands readings on; each batch has a quantity once.
func (t *teller) readings(ctx context.Context, all link.Readings) error {
	t.mu.Lock()
	plan := t.plan
	t.mu.Unlock()
	var batch []gateway.Reading
	has := make(map[uint8]bool)
	for _, r := range all {
		reading, known := t.reading(plan, r)
		if !known {
			continue
		}
		if has[r.Channel] {
			if err := t.sink.Emit(ctx, batch...); err != nil {
				return err
			}
			batch = nil
			clear(has)
		}
		has[r.Channel] = true
		batch = append(batch, reading)
	}
	if len(batch) == 0 {
		return nil
	}
	return t.sink.Emit(ctx, batch...)
}

// reading makes a reading of what came; one that could not be measured is bad.
func (t *teller) reading(plan *plan, r link.Reading) (gateway.Reading, bool) {
	if plan == nil {
		return gateway.Reading{}, false
	}
	channel, known := plan.channel(r.Channel)
	if !known {
		if !t.strange[r.Channel] {
			t.strange[r.Channel] = true
			t.log.Warn("readings of a channel that the descriptor does not have are dropped", "channel", r.Channel)
		}
		return gateway.Reading{}, false
	}
	value, measured := received(r.Value)
	quality := qualities[r.Value.Quality]
	if !measured {
		value, quality = nothing(channel.Kind), gateway.Bad
	}
	reading := gateway.Reading{Name: channel.Name, Value: value, Quality: quality, Seq: seq(r.Number), Age: max(time.Since(r.Time), 0)}
	if _, isNumber := value.Number(); isNumber {
		reading.Unit = channel.Unit
	}
	return reading, true
}

// levels are those of the log of the link.
var levels = map[link.Level]slog.Level{
	link.Debug: slog.LevelDebug, link.Info: slog.LevelInfo, link.Warning: slog.LevelWarn, link.Error: slog.LevelError,
}

// mostLines is how many lines a minute a microcontroller may put into the log of the
// gateway, which is on the card.
const mostLines = 60

// line puts a line of the microcontroller's log into that of the gateway.
func (t *teller) line(ctx context.Context, l link.Line) {
	if now := time.Now(); now.Sub(t.minute) >= time.Minute {
		t.lines, t.minute = 0, now
	}
	if t.lines++; t.lines > mostLines {
		if t.lines == mostLines+1 {
			t.log.Warn("the microcontroller says too much: its further lines of this minute are dropped", "most", mostLines)
		}
		return
	}
	if l.Lost > 0 {
		t.log.Warn("lines of the microcontroller's log are lost", "count", l.Lost)
	}
	t.log.Log(ctx, levels[l.Level], "the microcontroller says: "+l.Text)
}
