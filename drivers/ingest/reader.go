package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
)

// leastBuffer is what is read from a client at once, at least.
const leastBuffer = 64 << 10

// errTooLong is a line above the bound; its text is gone.
var errTooLong = errors.New("line too long")

// lineReader cuts a stream into lines of a bounded length.
type lineReader struct {
	in     *bufio.Reader // with room for the longest line
	raw    syscall.RawConn
	max    int
	number int // of the line that was read last, from 1
}

func newLineReader(conn *net.UnixConn, maxLine int) (*lineReader, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &lineReader{in: bufio.NewReaderSize(conn, max(leastBuffer, maxLine+2)), raw: raw, max: maxLine}, nil
}

// ready is the length of the next line if it has arrived whole, else -1. It
// does not wait. It looks into the kernel's buffer too: a group that ends with
// its own would be short, and wait for others at the queue.
func (r *lineReader) ready() int {
	for {
		there, _ := r.in.Peek(r.in.Buffered()) // never more than there is
		n := bytes.IndexByte(there, '\n')
		if n >= 0 || len(there) == r.in.Size() || !r.arrived() {
			return n
		}
		if _, err := r.in.Peek(len(there) + 1); err != nil {
			return -1
		}
	}
}

// arrived tells whether the kernel holds more bytes.
func (r *lineReader) arrived() bool {
	n, one := 0, make([]byte, 1)
	err := r.raw.Read(func(fd uintptr) bool {
		n, _, _ = syscall.Recvfrom(int(fd), one, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	return err == nil && n > 0
}

// next returns the next line without its end; it is valid until the next call.
// The last line of a stream may lack its newline.
func (r *lineReader) next() ([]byte, error) {
	text, err := r.in.ReadSlice('\n')
	tooLong := false
	for errors.Is(err, bufio.ErrBufferFull) {
		tooLong = true
		_, err = r.in.ReadSlice('\n')
	}
	lastLine := errors.Is(err, io.EOF) && (tooLong || len(text) > 0)
	if err != nil && !lastLine {
		return nil, err
	}
	r.number++
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if tooLong || len(text) > r.max {
		return nil, errTooLong
	}
	return text, nil
}
