package storeforward

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// maxQuarantined is how many damaged stores are kept beside the working one
// after what could be read in them was brought over. What is left is there to
// be looked at; the disk must not fill with it.
const maxQuarantined = 2

// Quarantine moves a store that Open has found damaged out of the way, to
// <dir>.damaged-<time>. The next Open makes a new store in dir and salvages
// what can be read in the old one.
func Quarantine(dir string) (to string, err error) {
	dir = filepath.Clean(dir)
	to = dir + ".damaged-" + time.Now().UTC().Format("20060102T150405.000000000")
	err = withLock(dir, func() error {
		// What the witness knows of the end of the store goes with it.
		err := os.Rename(witnessPath(dir), filepath.Join(dir, wreckWitness))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.Rename(dir, to)
	})
	if err != nil {
		return "", fmt.Errorf("set the damaged store %s aside: %w", dir, err)
	}
	return to, errors.Join(syncDir(filepath.Dir(dir)), removeOld(dir))
}

func removeOld(dir string) error {
	dirs, err := filepath.Glob(dir + ".damaged-*")
	if err != nil {
		return err
	}
	slices.Sort(dirs)
	dirs = slices.DeleteFunc(dirs, func(dir string) bool { return !wreck{dir}.salvaged() })
	var errs []error
	for _, path := range dirs[:max(0, len(dirs)-maxQuarantined)] {
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}

// notDamage are the words of the system for troubles of the moment. The engine
// hands errors on as text only.
var notDamage = []string{
	"no space left", "permission denied", "operation not permitted", "read-only file system",
	"too many open files", "cannot allocate memory", "input/output error",
}

// openError says what is the matter with a store that the engine does not open.
func openError(dir string, err error) error {
	if errors.Is(err, ErrKey) || errors.Is(err, gateway.ErrInvalid) {
		return err
	}
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
