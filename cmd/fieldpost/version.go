package main

import (
	"fmt"
	"runtime"
	"time"
)

// Set by the linker; see the Makefile.
var (
	version = "dev"
	commit  = "unknown"
	// built is the date of the commit: no true time is earlier than this.
	built = "2026-01-01T00:00:00Z"
)

type versionCmd struct{}

func (versionCmd) Run(io streams) error {
	_, err := fmt.Fprintf(io.out, "fieldpost %s (commit %s, %s/%s, %s)\n", version, commit, runtime.GOOS, runtime.GOARCH, runtime.Version())
	return err
}

// buildTime is the floor of the clock.
func buildTime() time.Time {
	t, err := time.Parse(time.RFC3339, built)
	if err != nil {
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return t
}
