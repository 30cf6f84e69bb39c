package hubsim

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"
)

// indexEvery is how many messages lie between two entries of the index.
const indexEvery = 128

// record is the file of all messages that have arrived, in order. Offsets
// count from 1 and go on after a restart. Any number of readers may be slow:
// they read the file and hold nobody up.
type record struct {
	mu      sync.Mutex
	journal *journal
	last    int64   // offset of the newest message, 0 if there is none
	index   []int64 // where in the file the messages 1, 1+indexEvery, … begin
	scratch []byte
	grown   chan struct{} // closed at the next message; nil if nobody waits
}

// openRecord opens the record and shows visit what it holds.
func openRecord(path string, visit func(line)) (*record, error) {
	r := &record{}
	position := int64(0)
	journal, err := openJournal(path, func(data []byte) error {
		l, err := parseLine(data)
		if err == nil && l.Offset != r.last+1 {
			err = fmt.Errorf("offset %d, want %d", l.Offset, r.last+1)
		}
		if err != nil {
			return err
		}
		r.note(position)
		position += int64(len(data))
		visit(l)
		return nil
	})
	r.journal = journal
	return r, err
}

// note counts a message that begins at position.
func (r *record) note(position int64) {
	if r.last%indexEvery == 0 {
		r.index = append(r.index, position)
	}
	r.last++
}

// append adds a message. It survives the end of the process when append
// returns.
func (r *record) append(e *event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scratch = e.appendLine(r.scratch[:0], r.last+1)
	position := r.journal.size
	if err := r.journal.append(r.scratch); err != nil {
		return err
	}
	r.note(position)
	if r.grown != nil {
		close(r.grown)
		r.grown = nil
	}
	return nil
}

// newest is the offset of the newest message.
func (r *record) newest() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// cursor is a place in the record: behind message offset.
type cursor struct{ offset, position int64 }

// seek returns a place at or before offset.
func (r *record) seek(offset int64) cursor {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := min(offset, r.last) / indexEvery
	if i < int64(len(r.index)) {
		return cursor{offset: i * indexEvery, position: r.index[i]}
	}
	return cursor{offset: r.last, position: r.journal.size}
}

// read shows visit the messages from c on that are there now, and moves c
// behind each, until visit returns false or an error.
func (r *record) read(c *cursor, visit func(offset int64, line []byte) (more bool, err error)) error {
	r.mu.Lock()
	size := r.journal.size
	r.mu.Unlock()
	if size == c.position {
		return nil
	}
	section := io.NewSectionReader(r.journal.file, c.position, size-c.position)
	lines := bufio.NewReaderSize(section, 64<<10)
	for c.position < size {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return err
		}
		c.offset++
		c.position += int64(len(line))
		if more, err := visit(c.offset, line); err != nil || !more {
			return err
		}
	}
	return nil
}

// wait returns when there is a message behind c, or the error of ctx.
func (r *record) wait(ctx context.Context, c cursor) error {
	r.mu.Lock()
	if r.last > c.offset {
		r.mu.Unlock()
		return nil
	}
	if r.grown == nil {
		r.grown = make(chan struct{})
	}
	grown := r.grown
	r.mu.Unlock()
	select {
	case <-grown:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
