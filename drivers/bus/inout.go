package bus

import (
	"context"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus/gpiochip"
)

// Input is a GPIO line that is read. Level and Close may be called at any time,
// Edges by one goroutine at a time.
type Input struct {
	line  gpiochip.Line
	taken [64]gpiochip.Edge
	last  uint32 // number of the last edge that was taken
}

// Edges are changes of an input, in order.
type Edges struct {
	// Edges that came; none if the wait was over.
	Edges []gpiochip.Edge
	// Lost is how many the kernel has dropped before them, because it holds
	// gpiochip.EventBuffer at most.
	Lost uint32
}

// Level says whether the input is active now.
func (in *Input) Level() (bool, error) { return in.line.Level() }

// Edges waits for edges, until then (zero: for ever) or the end of ctx, whose
// error it returns. Edges that are there already are always taken. What it
// returns is good until the next call.
func (in *Input) Edges(ctx context.Context, until time.Time) (Edges, error) {
	n, err := in.line.Edges(ctx, until, in.taken[:])
	if err != nil || n == 0 {
		return Edges{}, err
	}
	got := Edges{Edges: in.taken[:n]}
	for _, e := range got.Edges {
		got.Lost += e.Seq - in.last - 1
		in.last = e.Seq
	}
	return got, nil
}

// Close gives the line back, also while somebody waits for edges. It may be
// called twice.
func (in *Input) Close() error { return in.line.Close() }

// Output is a GPIO line that is driven. Its level is what was written last: a
// line may be held by what hangs on it, and what it shows then is not what was
// asked for. It is not safe for concurrent use.
type Output struct {
	line   gpiochip.Line
	active bool
}

// Active is what was written last; of a line that was kept and not written yet,
// what it was when it was taken.
func (o *Output) Active() bool { return o.active }

// Set drives the line.
func (o *Output) Set(active bool) error {
	if err := o.line.Drive(active); err != nil {
		return err
	}
	o.active = active
	return nil
}

// Check says by its error that the line is lost.
func (o *Output) Check() error {
	_, err := o.line.Level() // whether it can be read; not what it is
	return err
}

// Close gives the line back. It may be called twice. What the line does then
// depends on the chip and the kernel: most leave it as it is, some make it an
// input, so that the pull of what hangs on it decides.
func (o *Output) Close() error { return o.line.Close() }
