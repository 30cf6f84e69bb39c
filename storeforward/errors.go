package storeforward

import "errors"

// Errors of Open.
var (
	// ErrLocked: another process has the store open.
	ErrLocked = errors.New("store is in use by another process")
	// ErrDamaged: the engine's files do not fit together, and opening them
	// would lose what can still be read.
	ErrDamaged = errors.New("store is damaged")
)

// ErrClosed is returned by everything that is called after Close.
var ErrClosed = errors.New("store is closed")

// errNoRoom is the committer's answer when a lane is full; Append turns it
// into waiting or into gateway.ErrFull.
var errNoRoom = errors.New("no room")
