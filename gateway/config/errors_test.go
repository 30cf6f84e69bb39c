package config_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
)

func TestJoin(t *testing.T) {
	at := func(line, column int) *config.Error {
		return &config.Error{File: "f", Line: line, Column: column, Path: "p", Problem: "x"}
	}
	if err := config.Join(nil, config.Errors{}, errors.Join(nil)); err != nil {
		t.Errorf("of nothing: %v", err)
	}
	err := config.Join(
		at(2, 1), nil, errors.Join(at(1, 9), errors.Join(at(1, 2), io.EOF)), config.Errors{at(2, 1), at(1, 2)},
		fmt.Errorf("%w: %w", io.ErrNoProgress, io.ErrClosedPipe),
		&config.Error{Problem: "two\nlines\x07\n"},
	)
	want := "EOF\n" +
		io.ErrNoProgress.Error() + ": " + io.ErrClosedPipe.Error() + "\n" +
		"two; lines \n" +
		"f:1:2: p: x\nf:1:9: p: x\nf:2:1: p: x"
	if err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	var errs config.Errors
	if !errors.As(err, &errs) || len(errs) != 6 {
		t.Errorf("it is no Errors of 6: %#v", err)
	}
	for _, is := range []error{io.EOF, io.ErrClosedPipe, gateway.ErrInvalid} {
		if !errors.Is(err, is) {
			t.Errorf("it is not %v", is)
		}
	}
}
