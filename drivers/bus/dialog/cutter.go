package dialog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// hush is the silence after which bytes are the beginning of a line. Adapters
// hold bytes back for up to 16 ms.
const hush = 100 * time.Millisecond

// errTorn is a line that cannot be read whole.
var errTorn = errors.New("torn line")

// cutter cuts what comes into lines.
type cutter struct {
	port Port
	max  int
	rest []byte // what was read and not cut yet
	torn bool   // the beginning of the next line is missing
}

// begin finds out whether a line is under way.
func (c *cutter) begin(ctx context.Context) error {
	c.rest, c.torn = nil, false
	quiet, cancel := context.WithTimeout(ctx, hush)
	defer cancel()
	switch err := c.fetch(quiet); {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil
	case err != nil && !errors.Is(err, errTorn):
		return err
	}
	c.torn = true
	return nil
}

// next is the next line that is not empty, without its end; it is valid until
// the next call. An error that wraps errTorn says that a line was dropped.
func (c *cutter) next(ctx context.Context) ([]byte, error) {
	for {
		line, rest, ended := cut(c.rest)
		switch {
		case ended && c.torn:
			c.rest, c.torn = rest, false
		case ended && len(line) > c.max, !ended && len(c.rest) > c.max && !c.torn:
			c.rest, c.torn = rest, !ended
			return nil, fmt.Errorf("a line of more than %d bytes: %w", c.max, errTorn)
		case ended && len(line) > 0:
			c.rest = rest
			return line, nil
		case ended:
			c.rest = rest
		default:
			if c.torn {
				c.rest = nil
			}
			if err := c.fetch(ctx); err != nil {
				return nil, err
			}
		}
	}
}

// cut splits off the first line.
func cut(text []byte) (line, rest []byte, ended bool) {
	i := bytes.IndexAny(text, "\r\n")
	if i < 0 {
		return nil, nil, false
	}
	return text[:i], text[i+1:], true
}

func (c *cutter) fetch(ctx context.Context) error {
	var chunk [512]byte
	n, err := c.port.Read(ctx, chunk[:])
	c.rest = append(c.rest, chunk[:n]...)
	if errors.Is(err, gateway.ErrFull) {
		c.rest, c.torn = nil, true
		return fmt.Errorf("%w: %w", err, errTorn)
	}
	return err
}
