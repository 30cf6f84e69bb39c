package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Cloud is where files go: a hub, and the storage that it leads to.
type Cloud interface {
	// Open reads credentials and certificates anew; it may connect.
	Open(ctx context.Context) (Session, error)
}

// Session is for one attempt. Errors wrap gateway.ErrInvalid if the file will
// never be taken, uplink.ErrRefused if a person has to mend something first,
// uplink.ErrNotReady if nothing was tried, ErrTicket, ErrBlocks or a Later;
// with any other one it is worth trying again.
type Session interface {
	// Begin asks the hub for a place for a file.
	Begin(ctx context.Context, name string) (Ticket, error)
	// Blocks lists the blocks that the storage has, by id, with their sizes.
	Blocks(ctx context.Context, t Ticket) (map[string]int64, error)
	// Put sends one block of size bytes.
	Put(ctx context.Context, t Ticket, id string, body io.Reader, size int64) error
	// Commit makes the file of its blocks.
	Commit(ctx context.Context, t Ticket, ids []string, c Content) error
	// Report tells the hub how it went, which frees the place.
	Report(ctx context.Context, t Ticket, o Outcome) error
	Close()
}

// Ticket is the hub's leave to write one file, for an hour as a rule.
type Ticket struct {
	// Correlation names the upload to the hub.
	Correlation string `json:"correlation"`
	Host        string `json:"host"` // perhaps with :port
	Container   string `json:"container"`
	Blob        string `json:"blob"`
	// Token is a secret, the query of URLs.
	Token string `json:"token"`
}

// Content is what readers are told of a file.
type Content struct {
	Type string
	// MD5 of all of it.
	MD5 []byte
}

// Outcome is how an upload went.
type Outcome struct {
	OK bool `json:"ok"`
	// Status is the HTTP status of the storage; -1 if it has not said any.
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// Errors that decide how an attempt goes on; sessions wrap them.
var (
	// ErrTicket: the ticket is not good any more, another one may be.
	ErrTicket = errors.New("the leave to write the file has ended")
	// ErrBlocks: the storage does not have all blocks of the list.
	ErrBlocks = errors.New("the storage misses blocks")
)

// Later is an error of somebody who is busy and says for how long.
type Later struct {
	After time.Duration
	Err   error
}

func (l *Later) Error() string { return fmt.Sprintf("%v (asked to wait %v)", l.Err, l.After) }
func (l *Later) Unwrap() error { return l.Err }
