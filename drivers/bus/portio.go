package bus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// pull takes what has come, if anything.
func (p *Port) pull(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if lost := p.lost; lost > 0 {
		p.lost = 0
		return 0, fmt.Errorf("%d bytes were dropped, since they came faster than they were read: %w", lost, gateway.ErrFull)
	}
	n, _ := p.data.Read(b) // an error only says that there is nothing
	return n, nil
}

// why is the reason for which a port gives nothing more.
func (p *Port) why() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reason
}

// Read waits for at least one byte, until ctx ends, and then with its error. It
// wraps gateway.ErrUnavailable if the port was unplugged or closed; what had
// come before is given first. Where bytes were dropped since nobody has read
// them, it says so once by gateway.ErrFull.
func (p *Port) Read(ctx context.Context, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		if n, err := p.pull(b); n > 0 || err != nil {
			return n, err
		}
		select {
		case <-p.more:
		case <-p.over:
			if n, err := p.pull(b); n > 0 || err != nil {
				return n, err
			}
			return 0, p.why()
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// Write hands b to the kernel, which sends it by and by: Takes says how long
// that lasts. It returns when ctx ends, or else some time after it should have
// been able to take all; what the kernel has not sent by then is discarded, so
// that no half frame goes out later. The errors are those of Read, and
// gateway.ErrTimeout.
func (p *Port) Write(ctx context.Context, b []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.writing.Lock()
	defer p.writing.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, p.Takes(len(b))+slack, gateway.ErrTimeout)
	defer cancel()
	if err := p.own.SetWriteDeadline(time.Time{}); err != nil {
		return p.broken(err)
	}
	hurried := make(chan struct{})
	hurry := context.AfterFunc(ctx, func() {
		_ = p.own.SetWriteDeadline(time.Unix(1, 0)) // it fails on a closed port, as the Write does
		close(hurried)
	})
	n, err := p.own.Write(b)
	if !hurry() {
		<-hurried // the next Write sets its own deadline
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		_ = p.control(func(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCOFLUSH) })
		return fmt.Errorf("the port has taken only %d of %d bytes: %w", n, len(b), context.Cause(ctx))
	default:
		return p.broken(err)
	}
}

// broken is the error of a port whose descriptor does not work any more.
func (p *Port) broken(err error) error {
	if errors.Is(err, os.ErrClosed) {
		<-p.over
		return p.why()
	}
	return fmt.Errorf("the port was unplugged (%w): %w", bare(err), gateway.ErrUnavailable)
}

// Discard drops what has come and was not read, and what was not sent yet.
func (p *Port) Discard() error {
	err := p.control(func(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIOFLUSH) })
	p.mu.Lock()
	p.data.Reset()
	p.lost = 0
	p.mu.Unlock()
	if err != nil {
		return p.broken(err)
	}
	return nil
}

// Settle drops what comes until the line has been quiet for so long. After
// opening that is the boundary of a frame. It returns the error of ctx if the
// line does not fall silent.
func (p *Port) Settle(ctx context.Context, quiet time.Duration) error {
	if err := p.Discard(); err != nil {
		return err
	}
	junk := make([]byte, 512)
	for {
		waiting, cancel := context.WithTimeout(ctx, quiet)
		_, err := p.Read(waiting, junk)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, context.DeadlineExceeded):
			return nil
		case err != nil && !errors.Is(err, gateway.ErrFull):
			return err
		}
	}
}
