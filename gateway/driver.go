package gateway

import (
	"context"
	"log/slog"
	"net/url"
	"time"
)

// Opener is a device that must be found and set up before it can be used.
// Making one touches no hardware; Open does, and Close (which every device may
// have) lets go of it. Open comes before anything else, again after each Close,
// and never while anything else is under way. After an error that wraps
// ErrUnavailable, with no readings beside it, the device is closed and opened
// anew, so that a chip that was unplugged or has lost its power is set up again;
// likewise a sensor after several reads in a row that failed for another reason.
type Opener interface {
	// Open finds the device. Of what can move, it leaves the output as it is, or
	// takes the safe state.
	Open(ctx context.Context) error
}

// Sensor is a device that is polled.
type Sensor interface {
	// Read measures once. It returns what it got even beside an error, which
	// names what could not be read.
	Read(ctx context.Context) ([]Reading, error)
}

// Stream is a device that speaks when it wants to.
type Stream interface {
	// Run hands readings to the sink until ctx ends or the device is lost. It
	// is called again, after a pause, if it returned an error. ctx also ends when
	// the device is to be opened anew.
	Run(ctx context.Context, sink Sink) error
}

// Sink takes the readings of a stream.
type Sink interface {
	// Emit adds readings to the message that is being filled. It returns
	// before they are durable.
	Emit(ctx context.Context, readings ...Reading) error
	// Commit makes each batch a message of its own and returns their ids, in
	// order, once all are durable. On error none of them was accepted.
	Commit(ctx context.Context, batches ...[]Reading) ([]MessageID, error)
	// Gap has the receiver told, behind what was emitted, of numbered readings that
	// are lost for good. Device and Time may be left out. It returns before that is
	// durable.
	Gap(ctx context.Context, g Gap) error
}

// Actuator is a device that can be asked to do something.
type Actuator interface {
	// Actions declares what the device can do. It changes only with what the device
	// is, such as the firmware in it. Nil is that it is not known yet.
	Actions() []Action
	// Do carries out a command whose action and arguments have been checked.
	// The values say what the device reported back. One command runs at a time.
	Do(ctx context.Context, cmd Command) (values map[string]any, err error)
}

// Safer is an actuator with a safe state, which is taken at start and at stop.
type Safer interface {
	Safe(ctx context.Context) error
}

// Stateful is an actuator that knows what its outputs are set to. Names are those
// of the readings of the same thing, where there are any. None of it touches or
// waits for hardware, so that it can be asked while a driver hangs.
type Stateful interface {
	// State has the value that each output is set to now. Outputs of which nobody
	// knows, as after a write that has failed, are left out.
	State() map[string]Value
	// After is what State will be, and stay, once cmd, whose action and arguments
	// have been checked, has been carried out. It changes nothing.
	After(cmd Command) map[string]Value
	// AtRest has the outputs that the safe state sets, with what it sets them to;
	// empty if it leaves all of them as they are. It does not change.
	AtRest() map[string]Value
}

// Rememberer is a device that keeps something over restarts, such as the total
// of a counter. It is given its memory once, before anything else.
type Rememberer interface {
	Remember(m Memory)
}

// FileKeeper is a device that keeps files over restarts, such as images of firmware. It
// is given a folder of its own once, before anything else; that need not exist yet.
type FileKeeper interface {
	KeepFiles(dir string)
}

// Fetcher is a device that fetches files from the network, such as images of firmware.
// It is given once, before anything else, whom to ask for the HTTP proxy to go through:
// each time, since it may become another; nil is none.
type Fetcher interface {
	FetchThrough(proxy func() *url.URL)
}

// Logger is a device that has something to say to people. It is given the log once,
// before anything else; lines name the device already.
type Logger interface {
	LogTo(log *slog.Logger)
}

// Timekeeper is a device that hears what time it is, such as a receiver of
// satellite navigation. It is given once, before anything else, whom to tell.
type Timekeeper interface {
	// KeepTime: tell is to be called with the time, in the moment that it is heard,
	// and only if the device takes it for right. It does not wait.
	KeepTime(tell func(now time.Time))
}

// Memory keeps a few bytes of one device on the card.
type Memory interface {
	// Load returns what was saved last; nothing, and no error, if nothing was or
	// if it cannot be read any more.
	Load() ([]byte, error)
	// Save replaces it durably: after a power cut there is this or what was
	// before. Each call wears the card, so save seldom, and when the device is
	// closed. At most 4 KiB.
	Save(data []byte) error
}
