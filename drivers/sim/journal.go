package sim

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// journal is the file in which a test counts what has really been done. A line
// is `<time> <command> <action> <detail>`.
type journal struct {
	now func() time.Time

	mu   sync.Mutex
	file *os.File // nil if nobody counts, or after close
}

// open opens the file, unless its path is empty: then nobody counts.
func (j *journal) open(path string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if path == "" || j.file != nil {
		return nil
	}
	var err error
	if j.file, err = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644); err != nil {
		return fmt.Errorf("actuations: %w", err)
	}
	return nil
}

// note writes a line, in one write, before the act: a crash in between leaves
// an act too many in the file, never one too few.
func (j *journal) note(command, action, detail string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	line := fmt.Sprintf("%s %s %s %s\n", j.now().UTC().Format(time.RFC3339Nano), command, action, detail)
	if _, err := j.file.WriteString(line); err != nil {
		return errors.Join(errors.New("nothing was switched, since it could not be noted in actuations"), err)
	}
	return nil
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}
