package gateway

import (
	"errors"
	"fmt"
)

// Sentinel errors: what a caller may decide on. Wrap them with %w and say
// which device, which operation and what to do about it.
var (
	// ErrUnavailable: the device or peer is not there now; trying later may help.
	ErrUnavailable = errors.New("unavailable")
	// ErrTimeout: no answer in time.
	ErrTimeout = errors.New("timed out")
	// ErrInvalid: the input is malformed; trying again will not help.
	ErrInvalid = errors.New("invalid")
	// ErrExpired: it came too late to be carried out.
	ErrExpired = errors.New("expired")
	// ErrDenied: a rule forbids it.
	ErrDenied = errors.New("denied")
	// ErrUnknown: there is no such device, or it cannot be asked for that. It
	// is a kind of ErrDenied.
	ErrUnknown = fmt.Errorf("no such device or action: %w", ErrDenied)
	// ErrFull: there is no room, on disk or in a bounded buffer.
	ErrFull = errors.New("full")
)

// FieldError places a fault at one field of a config section. A config's
// Validate returns one, or several joined by errors.Join.
type FieldError struct {
	// Field is the YAML name of the field within its section.
	Field string
	// Problem says what is wrong and what is allowed.
	Problem string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }
