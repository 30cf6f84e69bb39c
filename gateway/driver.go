package gateway

import "context"

// Sensor is a device that is polled.
type Sensor interface {
	// Read measures once. It returns what it got even beside an error, which
	// names what could not be read.
	Read(ctx context.Context) ([]Reading, error)
}

// Stream is a device that speaks when it wants to.
type Stream interface {
	// Run hands readings to the sink until ctx ends or the device is lost. It
	// is called again, after a pause, if it returned an error.
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
}

// Actuator is a device that can be asked to do something.
type Actuator interface {
	// Actions declares what the device can do; it does not change.
	Actions() []Action
	// Do carries out a command whose action and arguments have been checked.
	// The values say what the device reported back. One command runs at a time.
	Do(ctx context.Context, cmd Command) (values map[string]any, err error)
}

// Safer is an actuator with a safe state, which is taken at start and at stop.
type Safer interface {
	Safe(ctx context.Context) error
}
