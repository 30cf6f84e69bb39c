package gateway

import "time"

// EventMadeSafe is the name of the event that a device had to take its safe state.
const EventMadeSafe = "made-safe"

// Event is the body of a KindEvent message: something that the gateway has done by
// itself. Unlike an Alert it has no end.
type Event struct {
	Device DeviceID `json:"device"`
	// Name says what it is.
	Name string `json:"name"`
	// Cause names the key of the config that asked for it, such as max_on.
	Cause string `json:"cause"`
	// Done is false if that has failed.
	Done bool `json:"done"`
	// Text says to people what has happened, and why.
	Text string    `json:"text"`
	Time time.Time `json:"time"`
	// Outputs are what is known of those of the device since, by name.
	Outputs map[string]Value `json:"outputs,omitempty"`
}
