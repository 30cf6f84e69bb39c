package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// Emit adds readings to the message that is being filled, or to the window
// while they are thinned. It does not wait for the queue. A reading that has no
// encoding is left out, counted and logged; the error is for a batcher that has
// stopped.
func (b *Batcher) Emit(_ context.Context, readings ...gateway.Reading) error {
	window := b.opts.Thinning()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return b.errStopped()
	}
	now := time.Now()
	b.closeWindow(now, window)
	closed := b.thin.empty()
	for _, r := range readings {
		if window == 0 || !b.thin.take(r, now, window) {
			b.encode(r)
		}
	}
	if closed && !b.thin.empty() {
		b.signal() // there is a deadline now
	}
	return nil
}

// Alert puts an alert behind what has come before it, as a message of its own
// that is appended at once; then stored is called.
func (b *Batcher) Alert(_ context.Context, a gateway.Alert, stored func()) error {
	m, err := b.alert(a)
	if err != nil {
		return err
	}
	return b.alone(sealed{m, 1, stored})
}

// Event puts an event behind what has come before it, like an alert.
func (b *Batcher) Event(e gateway.Event) error {
	m, err := b.event(e)
	if err != nil {
		return err
	}
	return b.alone(sealed{m, 0, nil})
}

// Gap implements gateway.Sink: the record is a message of its own behind what has
// come before it, appended at once.
func (b *Batcher) Gap(_ context.Context, g gateway.Gap) error {
	m, err := b.gap(g)
	if err != nil {
		return err
	}
	return b.alone(sealed{m, 0, nil})
}

// alone puts a message behind the open one.
func (b *Batcher) alone(s sealed) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return b.errStopped()
	}
	b.seal()
	b.stats.Readings += uint64(s.readings)
	b.lose(b.box.put(s), b.stats.Problem)
	b.signal()
	return nil
}

// closeWindow adds what stands for the samples of the window, if that has come
// to its end or thinning has. The caller holds mu.
func (b *Batcher) closeWindow(now time.Time, window time.Duration) {
	if b.thin.empty() || window > 0 && now.Before(b.thin.due) {
		return
	}
	readings, taken := b.thin.close()
	for _, r := range readings {
		b.encode(r)
	}
	if saved := taken - len(readings); saved > 0 {
		b.stats.Thinned += uint64(saved)
	}
}

// encode adds one reading, or says why it has no encoding. The caller holds mu.
func (b *Batcher) encode(r gateway.Reading) {
	e, err := encodeReading(r)
	b.note(r, err)
	if err == nil {
		b.add(e)
	}
}

// add puts an encoded reading into the open message, and seals that before
// it would grow too large. The caller holds mu.
func (b *Batcher) add(r encoded) {
	if b.open.readings > 0 && b.open.sizeWith(r) > b.opts.MaxBytes {
		b.seal()
	}
	first := b.open.readings == 0
	b.open.add(r, time.Now())
	switch {
	case b.open.size() >= b.opts.MaxBytes:
		b.seal()
	case first:
		b.signal() // there is a deadline now
	}
}

// seal completes the open message. The caller holds mu.
func (b *Batcher) seal() {
	if b.open.readings == 0 {
		return
	}
	dropped := b.box.put(sealed{message: b.telemetry(&b.open), readings: b.open.readings})
	b.open = pack{}
	b.lose(dropped, b.stats.Problem)
	b.signal()
}

func (b *Batcher) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// errTooSlow is why the queue does not take readings although it refuses none.
var errTooSlow = errors.New("it is too slow")

// lose counts readings that are given up, and says so. The caller holds mu.
func (b *Batcher) lose(dropped []sealed, reason string) {
	if len(dropped) == 0 {
		return
	}
	for _, s := range dropped {
		b.stats.Lost += uint64(s.readings)
	}
	b.opts.Health.Raise(b.code, health.Error, fmt.Sprintf(
		"readings for lane %s are being lost, since the queue does not take them: %s", b.opts.Lane, cmp.Or(reason, errTooSlow.Error())))
}

// maxRefusedNames bounds the memory for what has been logged.
const maxRefusedNames = 256

// note counts a reading, and logs the first of a row that is refused. The
// caller holds mu.
func (b *Batcher) note(r gateway.Reading, err error) {
	key := readingKey{r.Device, r.Name}
	if err == nil {
		b.stats.Readings++
		delete(b.refused, key)
		return
	}
	b.stats.Refused++
	if !b.refused[key] && len(b.refused) < maxRefusedNames {
		b.refused[key] = true
		b.log.Warn("reading refused, as will be others like it", "error", err)
	}
}

// Commit makes each batch a message of its own and appends them all at once.
// They are not thinned: whoever calls is promised an id for each.
// On error, none was accepted; it is gateway.ErrInvalid if a reading has no
// encoding or a batch is empty.
func (b *Batcher) Commit(ctx context.Context, batches ...[]gateway.Reading) ([]gateway.MessageID, error) {
	messages := make([]gateway.Message, 0, len(batches))
	count := 0
	for i, batch := range batches {
		p := pack{}
		for _, r := range batch {
			e, err := encodeReading(r)
			if err != nil {
				return nil, err
			}
			p.add(e, time.Time{})
		}
		if p.readings == 0 {
			return nil, fmt.Errorf("batch %d of %d holds no reading: %w", i+1, len(batches), gateway.ErrInvalid)
		}
		count += p.readings
		messages = append(messages, b.telemetry(&p))
	}
	ids, err := b.opts.Queue.Append(ctx, messages...)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.Readings += uint64(count)
	b.accepted(messages)
	return ids, nil
}

// accepted counts what the queue has taken. The caller holds mu.
func (b *Batcher) accepted(messages []gateway.Message) {
	b.stats.Messages += uint64(len(messages))
	for _, m := range messages {
		b.stats.Bytes += uint64(len(m.Body))
	}
}
