package hubsim

import (
	"fmt"
	"time"
)

// identity is a device as the identity registry keeps it.
type identity struct {
	ID           string `json:"id"`
	GenerationID string `json:"generation"`
	ETag         string `json:"etag"`
	credential
	Disabled     bool      `json:"disabled,omitempty"`
	StatusReason string    `json:"status_reason,omitempty"`
	StatusSince  time.Time `json:"status_since"`
}

// newIdentity makes a device. Keys that are empty are made, too.
func newIdentity(id string, c credential) (identity, error) {
	if !validIdentity(id) {
		return identity{}, fmt.Errorf("device id %.80q, or that of a module: want 1 to 128 letters, digits or -.%%_*?!(),:=@$'", id)
	}
	i := identity{ID: id, GenerationID: randomHex(8), credential: c, StatusSince: time.Now().UTC()}
	return i, i.complete()
}

// complete makes the keys that are missing, checks the others and gives the
// identity a new version.
func (i *identity) complete() error {
	if err := i.credential.complete(); err != nil {
		return fmt.Errorf("device %s: %w", i.ID, err)
	}
	i.ETag = randomHex(6)
	return nil
}

// device is what the hub knows of one device. The mutex of state guards it.
type device struct {
	identity
	twin *twin // never nil
	// filters are the subscriptions with their QoS that a session with clean=0
	// has left behind; nil if there is no session.
	filters map[string]byte
	// commands are the cloud-to-device messages, oldest first: those under
	// way, and the last of those that have ended.
	commands []*command
	conn     *conn // nil while it is not connected
	// revoked is the signature of a token that is not taken any more.
	revoked  []byte
	changed  time.Time
	activity time.Time
}
