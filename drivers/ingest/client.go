package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fieldpost/fieldpost/gateway"
)

// What is committed at once at most. As many messages as the queue's own groups
// have by default: a full group is synced without waiting for others.
const (
	maxGroupLines = 256
	maxGroupBytes = 128 << 10
)

// client is one connection.
type client struct {
	lines *lineReader
	sink  gateway.Sink
}

// line is one line of a client and what became of it.
type line struct {
	number   int
	readings []gateway.Reading
	id       gateway.MessageID // once it is durable
	err      error             // or why it is not
}

// gather waits for a line and takes those with it that have arrived whole. The
// lines are valid beside an error too.
func (c *client) gather() ([]*line, error) {
	var group []*line
	for size := 0; len(group) < maxGroupLines; {
		n := c.lines.ready()
		if len(group) > 0 && (n < 0 || size+n > maxGroupBytes) {
			break
		}
		text, err := c.lines.next()
		l := &line{number: c.lines.number}
		switch {
		case errors.Is(err, errTooLong):
			l.err = fmt.Errorf("it is longer than the %d bytes that max_line allows", c.lines.max)
		case err != nil:
			return group, err
		default:
			l.readings, l.err = parseLine(text)
		}
		size += len(text)
		group = append(group, l)
	}
	return group, nil
}

// commit hands a group in and returns the answers, a line each.
func (c *client) commit(ctx context.Context, group []*line) []byte {
	var good []*line
	for _, l := range group {
		if l.err == nil {
			good = append(good, l)
		}
	}
	c.accept(ctx, good)
	var answers bytes.Buffer
	for _, l := range group {
		if l.err == nil {
			answers.Write(receipt(l.id))
		} else {
			answers.Write(refusal(fmt.Sprintf("line %d: %v", l.number, l.err)))
		}
	}
	return answers.Bytes()
}

// accept commits lines, each a message. If one of them can never be accepted,
// the group is halved until that one stands alone.
func (c *client) accept(ctx context.Context, lines []*line) {
	if len(lines) == 0 {
		return
	}
	batches := make([][]gateway.Reading, len(lines))
	for i, l := range lines {
		batches[i] = l.readings
	}
	ids, err := c.sink.Commit(ctx, batches...)
	switch {
	case err == nil && len(ids) != len(lines):
		err = fmt.Errorf("%d messages were answered by %d ids; please report this", len(lines), len(ids))
	case len(lines) > 1 && errors.Is(err, gateway.ErrInvalid):
		half := len(lines) / 2
		c.accept(ctx, lines[:half])
		c.accept(ctx, lines[half:])
		return
	case err != nil && ctx.Err() != nil:
		err = fmt.Errorf("the gateway is stopping: %w", err)
	}
	for i, l := range lines {
		if l.err = err; err == nil {
			l.id = ids[i]
		}
	}
}

func receipt(id gateway.MessageID) []byte { return answer("id", id.String()) }

func refusal(problem string) []byte { return answer("error", problem) }

func answer(key, value string) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(map[string]string{key: value}) // strings always encode
	return out.Bytes()
}
