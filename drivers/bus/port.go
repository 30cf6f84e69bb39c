package bus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/tarm/serial"
	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// readTick is how long tarm's Read waits for a byte. It bounds Close, since
	// nothing else wakes a read that is under way in the kernel.
	readTick = 100 * time.Millisecond
	// kept is how much a port keeps for whoever reads it; of more, the oldest is
	// dropped, as a protocol can only make use of the newest.
	kept = 64 << 10
	// slack is how much longer than on the line a Write may take.
	slack = 2 * time.Second
	// portGrace is how long Close waits for the kernel.
	portGrace = 2 * time.Second
)

// Port is an open serial port. It has the port for itself: a lock and the
// exclusive mode keep others out.
//
// tarm/serial opens, sets up and reads it. What that cannot do is done over a
// descriptor of our own: telling an unplugged port from a silent one, writing
// with a deadline, locking, odd rates, the lines, RS-485.
//
// One goroutine at a time may read (Read, Settle); the rest can be called by any.
type Port struct {
	PortConfig
	tty *serial.Port
	own *os.File
	// was485 is what was set before rs485, which would outlive us; nil: nothing
	// was changed.
	was485 *rs485
	free   func() // tells the Set that it is closed

	writing sync.Mutex // held by Write, which is bounded

	stop     chan struct{} // closed by Close
	stopOnce sync.Once
	over     chan struct{} // closed when the reader has ended and the port is closed
	more     chan struct{} // holds one token after bytes have come

	mu     sync.Mutex
	data   bytes.Buffer
	lost   int   // bytes dropped before data, which nobody has been told of
	reason error // why there is nothing more to come
}

// readLoop is the reader: it fetches bytes until the port is closed or gone, and
// closes it. So nobody else ever waits for the kernel, and the name of an
// unplugged port is free at once for the one that comes back.
func (p *Port) readLoop() {
	defer close(p.over)
	err := p.fetch()
	p.mu.Lock()
	p.reason = err
	p.mu.Unlock()
	p.release()
}

func (p *Port) fetch() error {
	chunk := make([]byte, 4096)
	for {
		select {
		case <-p.stop:
			return errPortClosed()
		default:
		}
		began := time.Now()
		n, err := p.tty.Read(chunk)
		p.push(chunk[:n])
		switch {
		case err == nil, n > 0:
		case p.hungUp(), !errors.Is(err, io.EOF):
			return fmt.Errorf("the port was unplugged: %w", gateway.ErrUnavailable)
		case time.Since(began) < readTick/2: // somebody has set it to not wait
			p.rest()
		}
	}
}

func (p *Port) rest() {
	timer := time.NewTimer(readTick)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.stop:
	}
}

func (p *Port) push(b []byte) {
	if len(b) == 0 {
		return
	}
	p.mu.Lock()
	if excess := p.data.Len() + len(b) - kept; excess > 0 {
		p.data.Next(excess)
		p.lost += excess
	}
	p.data.Write(b)
	p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
}

// Close gives the port back. It can be called at any time, more than once, and
// returns soon even if the kernel does not let go of the port.
func (p *Port) Close() error {
	p.stopOnce.Do(func() { close(p.stop) })
	timer := time.NewTimer(portGrace)
	defer timer.Stop()
	select {
	case <-p.over:
		return nil
	case <-timer.C:
		return fmt.Errorf("the port is left behind, since the kernel has not let go of it within %v: %w", portGrace, gateway.ErrTimeout)
	}
}

// release closes the descriptors. Closing a tty waits until all is sent, which
// may be never: so there must be nothing to send. The exclusive mode of a
// pseudo terminal would outlive us.
func (p *Port) release() {
	_ = p.control(func(fd int) error {
		_ = unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIOFLUSH)
		if p.was485 != nil {
			_ = p.was485.ask(fd, unix.TIOCSRS485)
		}
		return unix.IoctlSetInt(fd, unix.TIOCNXCL, 0)
	})
	// What closing says of a port that we are done with changes nothing.
	_ = p.tty.Close()
	_ = p.own.Close()
	p.free()
}

// hungUp tells a port that is gone from one that is silent, which read alike.
func (p *Port) hungUp() bool {
	gone := false
	err := p.control(func(fd int) error {
		fds := []unix.PollFd{{Fd: int32(fd)}}
		_, err := unix.Poll(fds, 0)
		gone = fds[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
		return err
	})
	return gone || err != nil && !errors.Is(err, syscall.EINTR)
}

// control calls f with our own descriptor.
func (p *Port) control(f func(fd int) error) error { return control(p.own, f) }

func control(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = f(int(fd)) })
	return errors.Join(err, inner)
}

func errPortClosed() error { return fmt.Errorf("the port is closed: %w", gateway.ErrUnavailable) }

// bare takes the path out of an error, which devices name already.
func bare(err error) error {
	if path := (*os.PathError)(nil); errors.As(err, &path) {
		return path.Err
	}
	return err
}
