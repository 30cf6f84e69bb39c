package modbus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// headBytes is the length of the header of Modbus TCP: transaction, protocol
// (0), length of the rest, unit.
const headBytes = 7

// TCP asks units behind one connection, one at a time. After an error other
// than an Exception the connection cannot be used any more.
type TCP struct {
	Conn net.Conn
	last uint16 // transaction
}

// Ask sends a request and returns the values of its answer; answers to earlier
// requests are passed over. It waits until ctx ends: then the error wraps
// gateway.ErrTimeout; it wraps gateway.ErrUnavailable if the connection is gone,
// and gateway.ErrInvalid if what comes is no answer.
func (c *TCP) Ask(ctx context.Context, r Request) ([]byte, error) {
	if err := c.Conn.SetDeadline(time.Time{}); err != nil {
		return nil, gone(err)
	}
	hurried := make(chan struct{})
	hurry := context.AfterFunc(ctx, func() {
		_ = c.Conn.SetDeadline(time.Unix(1, 0)) // fails on a closed one, as does what it is for
		close(hurried)
	})
	defer func() {
		if !hurry() {
			<-hurried // the next Ask sets its own deadline
		}
	}()
	c.last++
	frame := binary.BigEndian.AppendUint16(nil, c.last)
	frame = binary.BigEndian.AppendUint16(frame, 0)
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(r.pdu)+1)) //nolint:gosec // 253 at most
	frame = append(append(frame, r.unit), r.pdu...)
	if _, err := c.Conn.Write(frame); err != nil {
		return nil, c.broken(ctx, err, r)
	}
	pdu, err := c.answer(r)
	if err != nil {
		return nil, c.broken(ctx, err, r)
	}
	return r.values(pdu)
}

// answer reads frames until one belongs to the last request.
func (c *TCP) answer(r Request) ([]byte, error) {
	for {
		head := make([]byte, headBytes)
		if _, err := io.ReadFull(c.Conn, head); err != nil {
			return nil, err
		}
		transaction, protocol, length := binary.BigEndian.Uint16(head), binary.BigEndian.Uint16(head[2:]), int(binary.BigEndian.Uint16(head[4:]))
		if protocol != 0 || length < 3 || length > 1+maxPDU {
			return nil, fmt.Errorf("% x is no head of Modbus TCP; does the other side speak it on this port? %w", head, gateway.ErrInvalid)
		}
		pdu := make([]byte, length-1)
		if _, err := io.ReadFull(c.Conn, pdu); err != nil {
			return nil, err
		}
		if transaction != c.last {
			continue
		}
		if head[6] != r.unit {
			return nil, fmt.Errorf("unit %d has answered in place of unit %d: %w", head[6], r.unit, gateway.ErrInvalid)
		}
		return pdu, nil
	}
}

// broken says what the error of a connection means.
func (c *TCP) broken(ctx context.Context, err error, r Request) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no answer from unit %d: %w", r.unit, gateway.ErrTimeout)
	case errors.Is(err, gateway.ErrInvalid):
		return err
	default:
		return gone(err)
	}
}

func gone(err error) error {
	return fmt.Errorf("the connection is gone (%w): %w", err, gateway.ErrUnavailable)
}
