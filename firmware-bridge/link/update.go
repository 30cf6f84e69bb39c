package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	checkTime  = 3 * time.Second
	dataTime   = time.Second
	finishTime = 15 * time.Second
	// vainSessions is how many sessions in a row may end without a block written.
	vainSessions = 5
	// leaveTries is how often an application is asked to make room for its loader, with
	// leavePause between.
	leaveTries = 10
	leavePause = 200 * time.Millisecond
)

// errReplaced ends a session for the sake of another one.
var errReplaced = fmt.Errorf("the microcontroller goes over from one program to another: %w", gateway.ErrUnavailable)

// Update brings an image, which was verified, into the microcontroller, so that
// Start can start it. It begins with what is there already: after an error, on this
// Conn or another, Update goes on where it was. Progress, if not nil, is told how
// many bytes of how many are there. A microcontroller that has its loader beside
// its application is left in the loader, also by an error; if its old image is
// still good, Start starts that.
func (c *Conn) Update(ctx context.Context, im *Image, progress func(done, total int)) error {
	u := update{c, im, progress, false, 0}
	c.setStay(true)
	defer c.setStay(false)
	for vain := 0; ; {
		wrote, err := u.once(ctx)
		if err == nil {
			return nil
		}
		if wrote > 0 {
			vain = 0
		}
		switch hash := (*StatusError)(nil); {
		case errors.As(err, &hash) && hash.Status == Hash && !u.all:
			u.all = true // a CRC has lied
		case interrupted(err) && c.Err() == nil && ctx.Err() == nil && vain < vainSessions:
			vain++
		default:
			return fmt.Errorf("update to %v: %w", im.Version, err)
		}
	}
}

// interrupted says that the session was lost, so that another one may do better.
func interrupted(err error) bool {
	return errors.Is(err, ErrReset) || errors.Is(err, gateway.ErrTimeout) || errors.Is(err, errReplaced)
}

// update is an image under way.
type update struct {
	*Conn
	im       *Image
	progress func(done, total int)
	all      bool // blocks that look right are written, too
	block    int
}

// once updates in one session. It says how many blocks were written.
func (u *update) once(ctx context.Context) (wrote int, err error) {
	s, err := u.enterLoader(ctx)
	if err != nil {
		return 0, err
	}
	if s.hello.Target != u.im.Target {
		return 0, fmt.Errorf("the image is for the hardware %04x, this is %04x: %w", u.im.Target, s.hello.Target, gateway.ErrInvalid)
	}
	body, err := u.requestIn(ctx, s, TypeBegin, u.im.header, answerTime)
	if err != nil {
		return 0, err
	}
	if len(body) < 2 || le.Uint16(body) == 0 || int(le.Uint16(body))+4 > int(s.hello.MaxPayload) {
		return 0, fmt.Errorf("the answer to BEGIN is malformed: %w", gateway.ErrInvalid)
	}
	u.block = int(le.Uint16(body))
	for at := 0; at < len(u.im.Data); at += u.block {
		written, err := u.put(ctx, s, at)
		if err != nil {
			return wrote, err
		}
		if written {
			wrote++
		}
		if u.progress != nil {
			u.progress(min(at+u.block, len(u.im.Data)), len(u.im.Data))
		}
	}
	_, err = u.requestIn(ctx, s, TypeFinish, nil, finishTime)
	return wrote, err
}

// put sees to it that a block is stored.
func (u *update) put(ctx context.Context, s *session, at int) (written bool, err error) {
	piece := u.im.Data[at:min(at+u.block, len(u.im.Data))]
	block := append(bytes.Clone(piece), bytes.Repeat([]byte{0xFF}, u.block-len(piece))...)
	offset := le.AppendUint32(nil, uint32(at))
	if !u.all {
		body, err := u.requestIn(ctx, s, TypeCheck, le.AppendUint32(bytes.Clone(offset), uint32(u.block)), checkTime)
		if err != nil {
			return false, err
		}
		if len(body) >= 4 && le.Uint32(body) == Checksum(block) {
			return false, nil
		}
	}
	_, err = u.requestIn(ctx, s, TypeData, append(offset, block...), dataTime)
	return err == nil, err
}

// enterLoader returns a session in which images are taken.
func (c *Conn) enterLoader(ctx context.Context) (*session, error) {
	for range leaveTries {
		s, err := c.session(ctx)
		if err != nil {
			return nil, err
		}
		switch h := s.hello; {
		case h.Features&CanUpdate != 0 && (h.Role == Application || s.stay):
			return s, nil
		case h.Role == Loader && h.Features&CanUpdate == 0, h.Role == Application && h.Features&HasLoader == 0:
			return nil, fmt.Errorf("the microcontroller takes no images: %w", gateway.ErrUnknown)
		case h.Role == Application:
			if _, err := c.requestIn(ctx, s, TypeLoader, nil, answerTime); err != nil && !interrupted(err) {
				return nil, err
			}
		}
		c.finish(s, errReplaced)
		select {
		case <-time.After(leavePause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return nil, fmt.Errorf("the microcontroller was asked %d times to go over to its loader, and its application goes on: %w", leaveTries, gateway.ErrUnknown)
}

// Start leaves the loader for the application: the image on trial, or the confirmed
// one. It returns what the application says of itself, or an error if the loader
// comes back instead, with what it says.
func (c *Conn) Start(ctx context.Context) (Hello, error) {
	s, err := c.session(ctx)
	if err != nil {
		return Hello{}, err
	}
	c.setStay(false)
	if _, err := c.requestIn(ctx, s, TypeRun, nil, answerTime); err != nil && !interrupted(err) {
		return s.hello, fmt.Errorf("starting the image: %w", err)
	}
	c.finish(s, errReplaced)
	h, err := c.Hello(ctx)
	switch {
	case err != nil:
		return h, fmt.Errorf("waiting for the image to come up: %w", err)
	case h.Role == Loader:
		return h, fmt.Errorf("the image has not come up, the loader is back, with image %v, after a reset by %v: %w", h.Image, h.Cause, gateway.ErrUnavailable)
	}
	return h, nil
}

// Confirm makes the application on trial the one that every reset starts, if it is
// of version v. It changes nothing if that is confirmed.
func (c *Conn) Confirm(ctx context.Context, v Version) error {
	d, err := c.Descriptor(ctx)
	if err != nil {
		return err
	}
	if d.Version != v {
		return fmt.Errorf("%s %v runs, not %v, so it is not confirmed: %w", d.Firmware, d.Version, v, gateway.ErrInvalid)
	}
	if _, err := c.request(ctx, TypeConfirm, nil, answerTime); err != nil {
		return fmt.Errorf("confirming %v: %w", v, err)
	}
	return nil
}
