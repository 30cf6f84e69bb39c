package gateway

import "time"

// Origin says by which way a command came in.
type Origin string

const (
	// OriginC2D is a cloud-to-device message of IoT Hub.
	OriginC2D Origin = "c2d"
	// OriginMethod is a direct method of IoT Hub, whose caller waits.
	OriginMethod Origin = "method"
	// OriginMQTT is a message on the command topic of a plain broker.
	OriginMQTT Origin = "mqtt"
	// OriginLocal is the command line on the board itself.
	OriginLocal Origin = "local"
	// OriginDesired is a desired property of the device twin of IoT Hub.
	OriginDesired Origin = "desired"
	// OriginRule is a rule of the config.
	OriginRule Origin = "rule"
)

// Command asks one device for one action.
type Command struct {
	// ID is the sender's message id; the same id is never executed twice.
	ID     string
	Device DeviceID
	Action string
	// Args are JSON values: float64, bool, string.
	Args map[string]any
	// Expires is the moment after which the command must not be executed;
	// zero means never.
	Expires  time.Time
	Received time.Time
	Origin   Origin
	// ReplyTo is where its sender waits for the result, in the terms of the upstream;
	// empty: nowhere. The result goes to all others as well.
	ReplyTo string `json:",omitempty"`
	// Resumed is true if it had been begun when the gateway was stopped. The
	// dispatcher sets it.
	Resumed bool `json:"-"`
}

// Status is the final state of a command. Each command reaches exactly one.
type Status string

const (
	// StatusDone means that the device carried the action out and said so.
	StatusDone Status = "done"
	// StatusFailed means that the action was tried and did not succeed.
	StatusFailed Status = "failed"
	// StatusExpired means that the command outlived its time before it was begun.
	StatusExpired Status = "expired"
	// StatusDenied means that the command was refused before anything moved.
	StatusDenied Status = "denied"
	// StatusUnknownOutcome means that the command was begun, the gateway
	// stopped, and repeating it would not be safe.
	StatusUnknownOutcome Status = "unknown-outcome"
)

// Result is the answer to a command.
type Result struct {
	// Boot names the run of the board, if Finished is undated.
	Boot      string   `json:"boot,omitempty"`
	CommandID string   `json:"command"`
	Device    DeviceID `json:"device,omitempty"`
	Action    string   `json:"action,omitempty"`
	Status    Status   `json:"status"`
	// Detail is the reason of anything but done, for people.
	Detail string `json:"detail,omitempty"`
	// Values are what the device reported back.
	Values   map[string]any `json:"values,omitempty"`
	Finished time.Time      `json:"finished"`
	// ReplyTo is that of the command.
	ReplyTo string `json:"reply_to,omitempty"`
	// Repeated marks the second answer to a command that came in twice.
	Repeated bool `json:"repeated,omitempty"`
}

// Entry is what the journal knows of a command.
type Entry struct {
	Command Command
	// Started means that the device may have begun to act; StartedAt is when, as
	// the clock of the gateway had it.
	Started   bool
	StartedAt time.Time `json:",omitzero"`
	// Result is nil until the command has reached its final state.
	Result *Result
	// Took is how long it was carried out, by a clock that nobody sets; 0 if that is
	// not known.
	Took time.Duration `json:",omitzero"`
}
