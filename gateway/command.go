package gateway

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

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
	CommandID string   `json:"command"`
	Device    DeviceID `json:"device,omitempty"`
	Action    string   `json:"action,omitempty"`
	Status    Status   `json:"status"`
	// Detail is the reason of anything but done, for people.
	Detail string `json:"detail,omitempty"`
	// Values are what the device reported back.
	Values   map[string]any `json:"values,omitempty"`
	Finished time.Time      `json:"finished"`
	// Repeated marks the second answer to a command that came in twice.
	Repeated bool `json:"repeated,omitempty"`
}

// Entry is what the journal knows of a command.
type Entry struct {
	Command Command
	// Started means that the device may have begun to act.
	Started bool
	// Result is nil until the command has reached its final state.
	Result *Result
}

// Action is one thing that a device can be asked to do.
type Action struct {
	Name string `json:"name"`
	// Help says in one line what happens in the real world.
	Help string `json:"help"`
	Args []Arg  `json:"args,omitempty"`
	// Idempotent actions may be repeated after a crash without harm.
	Idempotent bool `json:"idempotent"`
	// Timeout bounds one execution; zero means the dispatcher's default.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// ArgType is the JSON type of an argument.
type ArgType string

// The types of arguments.
const (
	ArgBool    ArgType = "bool"
	ArgNumber  ArgType = "number"
	ArgInteger ArgType = "integer"
	ArgText    ArgType = "text"
)

// Arg declares one argument of an action.
type Arg struct {
	Name     string  `json:"name"`
	Type     ArgType `json:"type"`
	Help     string  `json:"help,omitempty"`
	Unit     string  `json:"unit,omitempty"`
	Required bool    `json:"required,omitempty"`
	// Min and Max bound numbers and integers, both included; nil is unbounded.
	Min *float64 `json:"min,omitempty"`
	Max *float64 `json:"max,omitempty"`
	// OneOf lists the texts that are allowed; empty allows any.
	OneOf []string `json:"one_of,omitempty"`
}

// Check verifies args against the declaration. Its error wraps ErrDenied and
// names every argument at fault.
func (a Action) Check(args map[string]any) error {
	var faults []string
	for _, arg := range a.Args {
		v, given := args[arg.Name]
		switch {
		case given:
			if fault := arg.check(v); fault != "" {
				faults = append(faults, arg.Name+": "+fault)
			}
		case arg.Required:
			faults = append(faults, arg.Name+": missing, want "+arg.Wants())
		}
	}
	for name := range args {
		if !slices.ContainsFunc(a.Args, func(arg Arg) bool { return arg.Name == name }) {
			faults = append(faults, name+": unknown argument")
		}
	}
	if faults == nil {
		return nil
	}
	slices.Sort(faults)
	return fmt.Errorf("%s: %s: %w", a.Name, strings.Join(faults, "; "), ErrDenied)
}

func (a Arg) check(v any) string {
	ok := false
	switch a.Type {
	case ArgBool:
		_, ok = v.(bool)
	case ArgText:
		var s string
		s, ok = v.(string)
		ok = ok && (len(a.OneOf) == 0 || slices.Contains(a.OneOf, s))
	case ArgNumber, ArgInteger:
		var f float64
		f, ok = v.(float64)
		ok = ok && !math.IsNaN(f) && (a.Type == ArgNumber || f == math.Trunc(f)) &&
			(a.Min == nil || f >= *a.Min) && (a.Max == nil || f <= *a.Max)
	}
	if ok {
		return ""
	}
	return fmt.Sprintf("%v is not allowed, want %s", v, a.Wants())
}

// Wants says in words what the argument may be, for example "number in ms ≥ 1 ≤ 500".
func (a Arg) Wants() string {
	var b strings.Builder
	b.WriteString(string(a.Type))
	if a.Unit != "" {
		b.WriteString(" in " + a.Unit)
	}
	if a.Min != nil {
		fmt.Fprintf(&b, " ≥ %v", *a.Min)
	}
	if a.Max != nil {
		fmt.Fprintf(&b, " ≤ %v", *a.Max)
	}
	if len(a.OneOf) > 0 {
		b.WriteString(" of " + strings.Join(a.OneOf, ", "))
	}
	return b.String()
}
