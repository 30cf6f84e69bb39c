package storeforward

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxQuarantined is how many damaged stores are kept beside the working one.
// They are there to be looked at; the disk must not fill with them.
const maxQuarantined = 2

// Quarantine moves a store that Open has found damaged out of the way, to
// <dir>.damaged-<time>, so that a new one can be opened in dir. Nothing of it
// is deleted, but of more than two stores set aside only the newest two stay.
func Quarantine(dir string) (to string, err error) {
	dir = filepath.Clean(dir)
	to = dir + ".damaged-" + time.Now().UTC().Format("20060102T150405.000000000")
	if err := withLock(dir, func() error { return os.Rename(dir, to) }); err != nil {
		return "", fmt.Errorf("set the damaged store %s aside: %w", dir, err)
	}
	old, err := filepath.Glob(dir + ".damaged-*")
	if err != nil {
		return to, err
	}
	slices.Sort(old)
	var errs []error
	for _, path := range old[:max(0, len(old)-maxQuarantined)] {
		errs = append(errs, os.RemoveAll(path))
	}
	return to, errors.Join(errs...)
}

// notDamage are the words of the system for troubles of the moment. The engine
// hands errors on as text only.
var notDamage = []string{
	"no space left", "permission denied", "operation not permitted", "read-only file system",
	"too many open files", "cannot allocate memory", "input/output error",
}

// openError says what is the matter with a store that the engine does not open.
func openError(dir string, err error) error {
	text := err.Error()
	if strings.Contains(text, "Cannot acquire directory lock") {
		return fmt.Errorf("store %s: %w; is fieldpost running already?", dir, ErrLocked)
	}
	for _, words := range notDamage {
		if strings.Contains(text, words) {
			return fmt.Errorf("store %s: open: %w", dir, err)
		}
	}
	return fmt.Errorf("store %s: %w: %w", dir, ErrDamaged, err)
}
