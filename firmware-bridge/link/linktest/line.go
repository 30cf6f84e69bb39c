package linktest

import (
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

// Faults are the probabilities of what a line does to each byte, and to each Write.
type Faults struct {
	Drop, Flip, Repeat, Insert float64
	// Cut is of a Write that loses its end, Twice of one that comes twice.
	Cut, Twice float64
	// Delay is how long each byte takes.
	Delay time.Duration
}

// Faulted counts what a line has done.
type Faulted struct{ Dropped, Flipped, Repeated, Inserted, Cut, Twice int }

// End is one end of a line: an io.ReadWriteCloser. A Write never waits.
type End struct {
	in, out *way
}

// Pipe is a line whose faults follow from a seed. What is written to one end can be
// read from the other, in so far as it arrives. Closing one end is the end of both.
func Pipe(seed uint64, f Faults) (*End, *End) {
	there := newWay(seed, 1, f)
	back := newWay(seed, 2, f)
	return &End{back, there}, &End{there, back}
}

func (e *End) Read(b []byte) (int, error)  { return e.in.read(b) }
func (e *End) Write(b []byte) (int, error) { return e.out.write(b) }

// Close unplugs the line.
func (e *End) Close() error {
	e.in.close()
	e.out.close()
	return nil
}

// Become changes the faults of both directions.
func (e *End) Become(f Faults) {
	for _, w := range []*way{e.in, e.out} {
		w.mu.Lock()
		w.faults = f
		w.mu.Unlock()
	}
}

// Faulted is what happened so far, in both directions together.
func (e *End) Faulted() Faulted {
	sum := Faulted{}
	for _, w := range []*way{e.in, e.out} {
		w.mu.Lock()
		sum.Dropped += w.did.Dropped
		sum.Flipped += w.did.Flipped
		sum.Repeated += w.did.Repeated
		sum.Inserted += w.did.Inserted
		sum.Cut += w.did.Cut
		sum.Twice += w.did.Twice
		w.mu.Unlock()
	}
	return sum
}

// mostHeld is what a way holds for a reader that does not read; more is lost, as
// with a UART.
const mostHeld = 64 << 10

// way is one direction.
type way struct {
	mu     sync.Mutex
	more   *sync.Cond
	random *rand.Rand
	faults Faults
	did    Faulted
	chunks []chunk
	held   int
	closed bool
}

type chunk struct {
	due   time.Time
	bytes []byte
}

func newWay(seed, direction uint64, f Faults) *way {
	w := &way{faults: f, random: rand.New(rand.NewPCG(seed, direction))} //nolint:gosec // no secret
	w.more = sync.NewCond(&w.mu)
	return w
}

func (w *way) write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, io.ErrClosedPipe
	}
	out := w.spoil(b)
	if w.happens(w.faults.Cut, &w.did.Cut) {
		out = out[:w.random.IntN(len(out)+1)]
	}
	if w.happens(w.faults.Twice, &w.did.Twice) {
		out = append(out, out...)
	}
	if w.held+len(out) <= mostHeld && len(out) > 0 {
		w.chunks = append(w.chunks, chunk{time.Now().Add(w.faults.Delay), out})
		w.held += len(out)
		w.more.Signal()
	}
	return len(b), nil
}

// happens says whether a fault happens, and counts it.
func (w *way) happens(p float64, count *int) bool {
	if p == 0 || w.random.Float64() >= p {
		return false
	}
	*count++
	return true
}

// spoil does to b what the line does.
func (w *way) spoil(b []byte) []byte {
	var out []byte
	for _, x := range b {
		if w.happens(w.faults.Insert, &w.did.Inserted) {
			out = append(out, byte(w.random.Uint32()))
		}
		if w.happens(w.faults.Drop, &w.did.Dropped) {
			continue
		}
		if w.happens(w.faults.Flip, &w.did.Flipped) {
			x ^= 1 << w.random.IntN(8)
		}
		out = append(out, x)
		if w.happens(w.faults.Repeat, &w.did.Repeated) {
			out = append(out, x)
		}
	}
	return out
}

func (w *way) read(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		if w.closed {
			return 0, io.EOF
		}
		if len(w.chunks) == 0 {
			w.more.Wait()
			continue
		}
		first := &w.chunks[0]
		if wait := time.Until(first.due); wait > 0 {
			w.mu.Unlock()
			time.Sleep(wait)
			w.mu.Lock()
			continue
		}
		n := copy(b, first.bytes)
		if first.bytes = first.bytes[n:]; len(first.bytes) == 0 {
			w.chunks = w.chunks[1:]
		}
		w.held -= n
		return n, nil
	}
}

func (w *way) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.more.Broadcast()
}
