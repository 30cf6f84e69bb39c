package link

import (
	"errors"
	"fmt"

	"github.com/fieldpost/fieldpost/gateway"
)

// Sentinel errors of the link, beside those of package gateway.
var (
	// ErrReset: the microcontroller was reset meanwhile.
	ErrReset = fmt.Errorf("the microcontroller was reset: %w", gateway.ErrUnavailable)
	// ErrOutcome: the action was sent and no answer came, so it may have been
	// carried out or not.
	ErrOutcome = errors.New("whether it was carried out is not known")
	// ErrClosed: the Conn was closed by its owner.
	ErrClosed = fmt.Errorf("the link is closed: %w", gateway.ErrUnavailable)
)

// StatusError is a request that the microcontroller answered, other than by OK.
type StatusError struct {
	Request Type
	Status  Status
	// Text is what the microcontroller says of it; it may be empty.
	Text string
}

func (e *StatusError) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("the microcontroller answers %v: %v", e.Request, e.Status)
	}
	return fmt.Sprintf("the microcontroller answers %v: %v (%s)", e.Request, e.Status, e.Text)
}

// Unwrap makes errors.Is find what a caller may decide on.
func (e *StatusError) Unwrap() error {
	switch e.Status {
	case Unsupported, Unknown:
		return gateway.ErrUnknown
	case Invalid, Target, Size, Hash:
		return gateway.ErrInvalid
	case Denied:
		return gateway.ErrDenied
	default:
		return nil
	}
}
