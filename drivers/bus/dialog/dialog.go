package dialog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// maxMissing is how many polls in a row may go without an answer.
	maxMissing = 3
	// settling is how long a device may go on answering a text of init.
	settling = time.Second
	// tellEvery is how often unmatched lines are told.
	tellEvery = time.Minute
	// confusing is how long a device may say nothing but what makes no sense,
	// before it is reported.
	confusing = 2 * tellEvery
	// maxSample is how much of an unmatched line is shown, in bytes.
	maxSample = 120
)

// Port is what a device speaks over: a bus.Port.
type Port interface {
	Read(ctx context.Context, b []byte) (int, error)
	Write(ctx context.Context, b []byte) error
}

// Decode gives the readings of a line, perhaps none, or says that the line makes
// no sense. It must not keep the line.
type Decode func(line []byte) ([]gateway.Reading, error)

// Run talks until ctx ends, which is no error, or the port or the device fails.
//
// Beside what decode gives, the sink gets a reading unmatched, how many lines
// made no sense since Run began, with one of them as unmatched.line, of bad
// quality: at most once a minute, and only if there are new ones.
func Run(ctx context.Context, port Port, c Config, decode Decode, sink gateway.Sink) error {
	now := time.Now()
	t := &talk{
		Config: c, port: port, lines: cutter{port: port, max: c.MaxLine}, decode: decode, sink: sink, next: now, heard: now,
	}
	err := t.begin(ctx)
	for err == nil && ctx.Err() == nil {
		err = t.step(ctx)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Quantities are the readings that Run itself gives, with a value of the kind.
func Quantities() map[string]gateway.Value {
	return map[string]gateway.Value{"unmatched": {}, "unmatched.line": gateway.Text("")}
}

// talk is the state of a Run.
type talk struct {
	Config
	port   Port
	lines  cutter
	decode Decode
	sink   gateway.Sink

	next    time.Time // of the polls
	answer  time.Time // when the answer to a poll must be there; zero if none is awaited
	missing int       // answers in a row
	heard   time.Time // when the last line made sense, or Run began
	sense   bool      // whether any has

	unmatched int
	told      time.Time // when unmatched lines were told
}

// begin waits for the end of what is under way and sends the texts of init.
// What the device says to them is not for us.
func (t *talk) begin(ctx context.Context) error {
	if err := t.lines.begin(ctx); err != nil {
		return err
	}
	for _, text := range t.Init {
		if err := t.port.Write(ctx, []byte(text)); err != nil {
			return err
		}
		if err := t.settle(ctx); err != nil {
			return err
		}
	}
	return nil
}

// settle drops lines until there is silence, or for as long as settling.
func (t *talk) settle(ctx context.Context) error {
	for end := time.Now().Add(settling); time.Now().Before(end); {
		if err := t.lines.begin(ctx); err != nil || !t.lines.torn {
			return err
		}
	}
	return nil
}

// step takes a line, or does what is due.
func (t *talk) step(ctx context.Context) error {
	waiting, cancel := ctx, func() {}
	if due := t.due(); !due.IsZero() {
		if !time.Now().Before(due) { // however much is coming in
			return t.act(ctx)
		}
		waiting, cancel = context.WithDeadline(ctx, due)
	}
	defer cancel()
	line, err := t.lines.next(waiting)
	switch {
	case err == nil:
		return t.take(ctx, line)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return t.act(ctx)
	case errors.Is(err, errTorn):
		return t.tell(ctx, err.Error())
	default:
		return err
	}
}

// due is when something is to be done even if nothing comes; zero for never.
func (t *talk) due() time.Time {
	var due time.Time
	earlier := func(other time.Time) {
		if due.IsZero() || other.Before(due) {
			due = other
		}
	}
	switch {
	case t.Poll == "":
	case t.answer.IsZero():
		earlier(t.next)
	default:
		earlier(t.answer)
	}
	if t.Silence > 0 {
		earlier(t.heard.Add(t.Silence))
	}
	return due
}

// act does what is due: it asks the device, or complains about it.
func (t *talk) act(ctx context.Context) error {
	now := time.Now()
	if t.Silence > 0 && now.Sub(t.heard) >= t.Silence {
		return fmt.Errorf("nothing that makes sense has come for %v%s: %w", t.Silence, t.hint(), gateway.ErrTimeout)
	}
	if !t.answer.IsZero() && !now.Before(t.answer) {
		t.answer = time.Time{}
		if t.missing++; t.missing >= maxMissing {
			return fmt.Errorf("%d polls in a row have not been answered within %v%s: %w", t.missing, t.patience(), t.hint(), gateway.ErrTimeout)
		}
	}
	if t.Poll == "" || !t.answer.IsZero() || now.Before(t.next) {
		return nil
	}
	if err := t.port.Write(ctx, []byte(t.Poll)); err != nil {
		return err
	}
	now = time.Now()
	t.answer = now.Add(t.patience())
	for t.next = t.next.Add(t.Every); !t.next.After(now); {
		t.next = now.Add(t.Every)
	}
	return nil
}

// patience is how long to wait for an answer; the next poll does not wait for it.
func (t *talk) patience() time.Duration { return min(t.Timeout, t.Every) }

// hint says what to look for. How many lines made no sense is left to the reading:
// a condition that is never the same twice would be a line in the log each time.
func (t *talk) hint() string {
	if t.unmatched > 0 {
		return ", but lines that do not; see the reading unmatched.line, and check baud, parity and the format"
	}
	return "; check the wires (are RX and TX swapped?), the device's power and baud"
}

// take hands on what a line says.
func (t *talk) take(ctx context.Context, line []byte) error {
	if t.isEcho(line) {
		return nil
	}
	readings, err := t.decode(line)
	if err != nil {
		return t.tell(ctx, sample(line))
	}
	t.heard, t.sense, t.answer, t.missing = time.Now(), true, time.Time{}, 0
	if len(readings) == 0 {
		return nil
	}
	return t.sink.Emit(ctx, readings...)
}

// isEcho tells whether a line is what was sent: some devices repeat it.
func (t *talk) isEcho(line []byte) bool {
	return t.Poll != "" && bytes.Equal(bytes.TrimSpace(line), bytes.TrimSpace([]byte(t.Poll)))
}

// tell counts a line that makes no sense, and shows one now and then.
func (t *talk) tell(ctx context.Context, what string) error {
	t.unmatched++
	now := time.Now()
	if !t.sense && now.Sub(t.heard) >= confusing {
		return fmt.Errorf("lines come, but none of them makes sense; see the reading unmatched.line, and check baud, parity and the format: %w", gateway.ErrInvalid)
	}
	if !t.told.IsZero() && now.Sub(t.told) < tellEvery {
		return nil
	}
	t.told = now
	return t.sink.Emit(ctx,
		gateway.Reading{Name: "unmatched", Value: gateway.Number(float64(t.unmatched))},
		gateway.Reading{Name: "unmatched.line", Value: gateway.Text(what), Quality: gateway.Bad},
	)
}

// sample is the beginning of a line, with what cannot be printed escaped.
func sample(line []byte) string {
	if len(line) > maxSample {
		line = line[:maxSample]
	}
	quoted := fmt.Sprintf("%q", line)
	return strings.TrimSuffix(strings.TrimPrefix(quoted, `"`), `"`)
}
