package hubsim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxLine bounds one line of a journal. The largest is a message of 256 KB
// whose every byte becomes six in JSON.
const maxLine = 4 << 20

// journal is a file of lines to which lines are added. A line is with the
// operating system, and survives the end of the process, when append returns.
type journal struct {
	file *os.File
	size int64 // bytes of whole lines
}

// openJournal opens or creates a journal and shows every whole line to replay.
// A torn last line, which a kill leaves behind, was never acknowledged: it is
// cut off.
func openJournal(path string, replay func(line []byte) error) (*journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{file: f}
	if err := j.replay(replay); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return j, nil
}

func (j *journal) replay(visit func(line []byte) error) error {
	lines := bufio.NewReaderSize(j.file, maxLine)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return j.cut()
		}
		if err == nil {
			err = visit(line)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w; move the file away to start anew", n, err)
		}
		j.size += int64(len(line))
	}
}

// append adds a line, which ends in a line feed, whole or not at all.
func (j *journal) append(line []byte) error {
	if _, err := j.file.WriteAt(line, j.size); err != nil {
		return errors.Join(err, j.cut())
	}
	j.size += int64(len(line))
	return nil
}

// cut removes what is behind the last whole line.
func (j *journal) cut() error { return j.file.Truncate(j.size) }

func (j *journal) close() error { return j.file.Close() }
