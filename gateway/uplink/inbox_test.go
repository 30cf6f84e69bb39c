package uplink_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// inbox answers the n-th call, counted from 1, with errs[n-1], then with nil.
type inbox struct {
	errs              []error
	accepted, refused int
	reason            string
}

func (i *inbox) next() error {
	if len(i.errs) == 0 {
		return nil
	}
	err := i.errs[0]
	i.errs = i.errs[1:]
	return err
}

func (i *inbox) Accept(context.Context, gateway.Command) error {
	err := i.next()
	if err == nil {
		i.accepted++
	}
	return err
}

func (i *inbox) Refuse(_ context.Context, _ gateway.Command, _ []byte, reason string) error {
	err := i.next()
	if err == nil {
		i.refused++
		i.reason = reason
	}
	return err
}

func TestIntake(t *testing.T) {
	full := gateway.ErrFull
	for _, tc := range []struct {
		name              string
		errs              []error
		fault             error
		accepted, refused int
		took              time.Duration
	}{
		{"command", nil, nil, 1, 0, 0},
		{"no command", nil, gateway.ErrInvalid, 0, 1, 0},
		{"disk full for a while", []error{full, full, full}, nil, 1, 0, 7 * time.Second},
		{"refusal while the disk is full", []error{full}, gateway.ErrInvalid, 0, 1, time.Second},
		{"the inbox finds it invalid", []error{gateway.ErrInvalid}, nil, 0, 1, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in := &inbox{errs: tc.errs}
				start := time.Now()
				err := uplink.Intake{Inbox: in, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}.
					Take(t.Context(), gateway.Command{ID: "c"}, tc.fault, nil)
				if err != nil || in.accepted != tc.accepted || in.refused != tc.refused || time.Since(start) != tc.took {
					t.Errorf("error %v, accepted %d, refused %d, after %v", err, in.accepted, in.refused, time.Since(start))
				}
			})
		})
	}
}

func TestIntakeEndsWithTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{}
		for range 100 {
			in.errs = append(in.errs, gateway.ErrFull)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := uplink.Intake{Inbox: in, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}.
			Take(ctx, gateway.Command{ID: "c"}, nil, nil)
		if !errors.Is(err, gateway.ErrFull) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if tried := 100 - len(in.errs); tried > 8 {
			t.Errorf("%d attempts in a minute", tried)
		}
	})
}
