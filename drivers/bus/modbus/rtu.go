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
	// Timeout is how long a unit has for its answer, once it can have the request;
	// 0: until ctx ends.
	Timeout time.Duration
	// Takes is how long so many bytes take on the line; nil: no time.
	Takes func(n int) time.Duration
	// Echo is true if the adapter hears what is sent.
	Echo bool

	doubt bool // the last request was not answered in time
	// owed is until when answers that did not come in time may still come.
	owed map[shape]time.Time
}

// shape is what can be told of an answer: two of one shape could be taken for
// each other.
type shape struct {
	unit, function byte
	length         int
}

func (r Request) shape() shape { return shape{r.unit, r.pdu[0], r.answerBytes()} }

// lateAnswers is how long the line must be quiet after a request that was not
// answered. A late answer to one of the same shape would be taken for that to the
// next, as RTU has no numbers: before such a request, a unit gets its time twice.
const lateAnswers = 100 * time.Millisecond

// Ask sends a request and returns the values of its answer. What was on the line
// before is dropped, so that a late answer is not taken for this one. It waits
// for the answer until ctx ends or the time is over: then the error wraps
// gateway.ErrTimeout. What is no answer wraps gateway.ErrInvalid.
func (l *RTU) Ask(ctx context.Context, r Request) ([]byte, error) {
	if err := l.settle(ctx, r); err != nil {
		return nil, late(err, "the line does not fall silent; does somebody else ask on it, or is it noise?")
	}
	ctx, cancel := l.within(ctx, l.sending(r))
	defer cancel()
	l.owes(r)
	frame := appendCRC(append([]byte{r.unit}, r.pdu...))
	if err := l.Line.Write(ctx, frame); err != nil {
		return nil, late(err, "the port does not take the request; does its adapter hang?")
	}
	if l.Echo {
		if err := l.hear(ctx, frame); err != nil {
			return nil, err
		}
	}
	pdu, err := l.answer(ctx, r)
	if err != nil {
		return nil, err
	}
	l.doubt = false
	delete(l.owed, r.shape())
	return r.values(pdu)
}

// settle waits until no answer to an earlier request can be taken for that to
// this one. That is no time of the unit's.
func (l *RTU) settle(ctx context.Context, r Request) error {
	quiet := max(l.Gap, time.Until(l.owed[r.shape()]))
	if l.doubt {
		quiet = max(quiet, lateAnswers)
	}
	ctx, cancel := l.within(ctx, quiet)
	defer cancel()
	return l.Line.Settle(ctx, quiet)
}

// owes notes that a request is about to be sent.
func (l *RTU) owes(r Request) {
	l.doubt = true
	if l.owed == nil {
		l.owed = make(map[shape]time.Time)
	}
	l.owed[r.shape()] = time.Now().Add(l.sending(r) + 2*l.Timeout)
}

// sending is how long a request and its answer are on the line.
func (l *RTU) sending(r Request) time.Duration {
	if l.Takes == nil {
		return 0
	}
	const around = 3 // unit and checksum
	return l.Takes(around + len(r.pdu) + around + r.answerBytes())
}

// within bounds ctx by the time of a unit and some more.
func (l *RTU) within(ctx context.Context, more time.Duration) (context.Context, context.CancelFunc) {
	if l.Timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, more+l.Timeout)
}

// hear takes what was sent from the line.
func (l *RTU) hear(ctx context.Context, frame []byte) error {
	heard := make([]byte, len(frame))
	if err := l.fill(ctx, heard); err != nil {
		return late(err, "what was sent was not heard; leave echo out if the adapter does not hear itself")
	}
	if string(heard) != string(frame) {
		return fmt.Errorf("what was heard is not what was sent: somebody else has sent at the same time: %w", gateway.ErrInvalid)
	}
	return nil
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
		delete(l.owed, r.shape()) // it has come
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
