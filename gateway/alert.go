package gateway

import "time"

// Alert is the body of a KindAlert message: a condition that somebody wanted to
// be told of has begun, or has ended.
type Alert struct {
	Device DeviceID `json:"device"`
	// ID names the condition within the device.
	ID string `json:"id"`
	// Active is true if it has begun, false if it has ended.
	Active bool `json:"active"`
	// Text says to people what it is; it may be empty.
	Text string    `json:"text,omitempty"`
	Time time.Time `json:"time"`
	// Values are those that decided it, by the names of quantities.
	Values map[string]Value `json:"values"`
}
