package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// Error is one fault of a config file and its place.
type Error struct {
	File string
	// Line and Column count from 1, columns in characters. They are 0 if the
	// fault is not at one place, as when the file cannot be read.
	Line, Column int
	// Path names the key, as queue.max_bytes or devices[air].every. It is empty
	// if the text is no YAML.
	Path string
	// Problem says what is wrong and what is allowed.
	Problem string

	cause error
}

// Error returns file:line:col: path: what is wrong, and what is allowed.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
		}
		b.WriteString(": ")
	}
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(oneLine(e.Problem))
	return b.String()
}

// Unwrap returns the cause, gateway.ErrInvalid if it is in the file's content.
func (e *Error) Unwrap() error {
	if e.cause != nil {
		return e.cause
	}
	return gateway.ErrInvalid
}

// oneLine keeps a text of several lines from looking like several errors.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, control) {
		return s
	}
	s = strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "; ")
	return strings.Map(func(r rune) rune {
		if control(r) {
			return ' '
		}
		return r
	}, s)
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// Errors are all faults of a config, in the order of their places.
type Errors []*Error

// Error returns one line for each error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes errors.Is and errors.As see each error.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// Join makes one Errors of errors of any kind, sorted and without duplicates.
// It returns nil if there is none.
func Join(errs ...error) error {
	var all Errors
	for _, err := range errs {
		all = all.add(err)
	}
	return all.sorted()
}

func (e Errors) add(err error) Errors {
	if err == nil {
		return e
	}
	if one, ok := err.(*Error); ok { //nolint:errorlint // the tree of errors is walked here
		return append(e, one)
	}
	parts, ok := joined(err)
	if !ok {
		return append(e, &Error{Problem: err.Error(), cause: err})
	}
	for _, one := range parts {
		e = e.add(one)
	}
	return e
}

// joined takes apart what errors.Join or Join has put together. It reports
// false if err is of another making, whose own words would be lost.
func joined(err error) ([]error, bool) {
	many, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // the tree of errors is walked here
	if !ok {
		return nil, false
	}
	parts := many.Unwrap()
	lines := make([]string, len(parts))
	for i, part := range parts {
		lines[i] = part.Error()
	}
	return parts, strings.Join(lines, "\n") == err.Error()
}

// sorted returns the errors as an error, nil if there is none.
func (e Errors) sorted() error {
	var unique Errors
	seen := make(map[string]bool)
	for _, one := range e {
		if one != nil && !seen[one.Error()] {
			seen[one.Error()] = true
			unique = append(unique, one)
		}
	}
	if unique == nil {
		return nil
	}
	slices.SortStableFunc(unique, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return unique
}
