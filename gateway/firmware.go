package gateway

import "time"

// FirmwareUpdate is how far an update of a device's firmware is.
type FirmwareUpdate struct {
	// From is the version before; empty if that is not known.
	From string `json:"from,omitempty"`
	To   string `json:"to"`
	// Phase is what is being done, in a word or two.
	Phase string `json:"phase"`
	// Percent is the share of the image that is stored.
	Percent int `json:"percent"`
	// Since is when it was begun, or gone on with after a start of the gateway.
	Since time.Time `json:"since"`
}

// Updater is a device whose firmware can be replaced.
type Updater interface {
	// FirmwareUpdate is the one under way, nil if there is none. It does not wait for
	// hardware.
	FirmwareUpdate() *FirmwareUpdate
}
