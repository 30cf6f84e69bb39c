package upload

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fieldpost/fieldpost/gateway"
)

// State is how far an upload has come.
type State string

// The states. Those from Done on are final.
const (
	// Waiting: for its turn, for the line, or for the next attempt.
	Waiting State = "waiting"
	// Sending: blocks are on their way.
	Sending State = "sending"
	// Reporting: the storage has the file, and the hub is not told yet.
	Reporting State = "reporting"
	// Done: the storage has the file and the hub knows.
	Done State = "done"
	// Failed: the cloud will never take it.
	Failed State = "failed"
	// Canceled: somebody did not want it any more.
	Canceled State = "canceled"
)

// Final reports whether nothing more will happen.
func (s State) Final() bool { return s == Done || s == Failed || s == Canceled }

// Upload is one file on its way.
type Upload struct {
	ID string `json:"id"`
	// Name is what the file is called in the storage, below the device.
	Name string `json:"name"`
	// Blob is the name that the hub has made of it; "" until it has been asked.
	Blob        string    `json:"blob,omitempty"`
	ContentType string    `json:"content_type,omitempty"`
	Bytes       int64     `json:"bytes"`
	Accepted    time.Time `json:"accepted"`
	State       State     `json:"state"`
	// Sent is how many bytes the storage has, or has at the moment of a restart
	// not been asked for yet.
	Sent int64 `json:"sent"`
	// Failures counts the attempts that came to nothing since the last that got
	// on; Detail says why the last of them did, or why the upload is over.
	Failures int    `json:"failures,omitempty"`
	Detail   string `json:"detail,omitempty"`
	// NextAttempt is zero unless the upload waits for it.
	NextAttempt time.Time `json:"next_attempt,omitzero"`
	Finished    time.Time `json:"finished,omitzero"`
}

// Request says what a file is.
type Request struct {
	// Name as CheckName wants it.
	Name string
	// ContentType of the file, "" if it is not known.
	ContentType string
	// Size of the file, -1 if it is not known.
	Size int64
	// Key makes a request that comes twice the same upload; "" never does.
	Key string
}

// MaxNameBytes bounds a name: 1024 is the storage's limit, and the hub puts
// the device id and a slash, 129 bytes at most, in front.
const MaxNameBytes = 1024 - 129

// CheckName verifies that the storage takes a name. The error wraps
// gateway.ErrInvalid.
//
// Source: Microsoft, "Naming and referencing containers, blobs, and metadata".
func CheckName(name string) error {
	fault := ""
	switch {
	case name == "" || len(name) > MaxNameBytes:
		fault = fmt.Sprintf("has %d bytes, want 1 to %d", len(name), MaxNameBytes)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		fault = "want printable text"
	case strings.ContainsRune(name, '\\'):
		fault = "want / in the place of \\"
	case strings.Count(name, "/") > 250:
		fault = "want 250 slashes at most"
	}
	for segment := range strings.SplitSeq(name, "/") {
		if fault == "" && (segment == "" || strings.HasSuffix(segment, ".")) {
			fault = "want segments that are neither empty nor end in a dot"
		}
	}
	if fault == "" {
		return nil
	}
	return fmt.Errorf("name %.80q: %s: %w", name, fault, gateway.ErrInvalid)
}
