package modbus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// Line is a serial line.
type Line interface {
	// Read waits for at least one byte, until ctx ends.
	Read(ctx context.Context, b []byte) (int, error)
	Write(ctx context.Context, b []byte) error
	// Settle drops what comes until the line has been quiet for so long.
	Settle(ctx context.Context, quiet time.Duration) error
}

// RTU asks units on a serial line, one at a time.
type RTU struct {
	Line Line
	// Gap is the silence between frames, at least 3.5 characters.
	Gap time.Duration
	// Echo is true if the adapter hears what is sent.
	Echo bool

	doubt bool // the last request was not answered in time
}

// lateAnswers is how long the line must be quiet after a request that was not
// answered: RTU has no numbers, so that a late answer of the same length would
// be taken for that to the next request.
const lateAnswers = 100 * time.Millisecond

// Ask sends a request and returns the values of its answer. What was on the line
// before is dropped, so that a late answer is not taken for this one. It waits
// for the answer until ctx ends: then the error wraps gateway.ErrTimeout. What
// is no answer wraps gateway.ErrInvalid.
func (l *RTU) Ask(ctx context.Context, r Request) ([]byte, error) {
	quiet := l.Gap
	if l.doubt {
		quiet = max(quiet, lateAnswers)
	}
	if err := l.Line.Settle(ctx, quiet); err != nil {
		return nil, late(err, "the line does not fall silent; does somebody else ask on it, or is it noise?")
	}
	l.doubt = true
	frame := appendCRC(append([]byte{r.unit}, r.pdu...))
	if err := l.Line.Write(ctx, frame); err != nil {
		return nil, err
	}
	if l.Echo {
		heard := make([]byte, len(frame))
		if err := l.fill(ctx, heard); err != nil {
			return nil, late(err, "what was sent was not heard; leave echo out if the adapter does not hear itself")
		}
		if string(heard) != string(frame) {
			return nil, fmt.Errorf("what was heard is not what was sent: somebody else has sent at the same time: %w", gateway.ErrInvalid)
		}
	}
	pdu, err := l.answer(ctx, r)
	if err != nil {
		return nil, err
	}
	l.doubt = false
	return r.values(pdu)
}

// answer reads a frame: its length follows from the request and the function.
func (l *RTU) answer(ctx context.Context, r Request) ([]byte, error) {
	frame := make([]byte, 1+max(r.answerBytes(), 2)+2)
	shortest := frame[:5] // an exception
	if err := l.fill(ctx, shortest); err != nil {
		return nil, l.silence(err, r)
	}
	if frame[1]&exceptionBit == 0 {
		if err := l.fill(ctx, frame[5:]); err != nil {
			return nil, l.silence(err, r)
		}
	} else {
		frame = shortest
	}
	pdu := frame[1 : len(frame)-2]
	switch got := binary.LittleEndian.Uint16(frame[len(frame)-2:]); {
	case got != crc(frame[:len(frame)-2]):
		return nil, fmt.Errorf("the answer % x has a wrong checksum; check baud, parity, the two wires and their termination: %w", frame, gateway.ErrInvalid)
	case frame[0] != r.unit:
		return nil, fmt.Errorf("unit %d has answered in place of unit %d: %w", frame[0], r.unit, gateway.ErrInvalid)
	}
	return pdu, nil
}

// silence is the error of an answer that did not come, or not whole.
func (l *RTU) silence(err error, r Request) error {
	var cut *cutError
	if errors.As(err, &cut) && cut.got > 0 {
		return fmt.Errorf("the answer breaks off after % x; check baud, parity and the wires: %w: %w", cut.bytes, err, gateway.ErrTimeout)
	}
	return late(err, fmt.Sprintf("no answer from unit %d; check its address, power, baud and parity, and whether A and B are swapped", r.unit))
}

// cutError is that ctx has ended amid a frame.
type cutError struct {
	cause error
	bytes []byte
	got   int
}

func (e *cutError) Error() string { return e.cause.Error() }
func (e *cutError) Unwrap() error { return e.cause }

// fill reads until b is full.
func (l *RTU) fill(ctx context.Context, b []byte) error {
	for got := 0; got < len(b); {
		n, err := l.Line.Read(ctx, b[got:])
		got += n
		if err != nil && got < len(b) {
			return &cutError{cause: err, bytes: b[:got], got: got}
		}
	}
	return nil
}

// late makes the end of a context an error that says what it means.
func late(err error, what string) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", what, gateway.ErrTimeout)
	}
	return err
}
