package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// isTerminal reports whether a person is at the other end.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// yesFlag is shared by the verbs that cannot be undone.
type yesFlag struct {
	Yes bool `help:"Do not ask." short:"y"`
}

// confirm asks on a terminal whether to go on. Without one, nobody can answer,
// and --yes is needed.
func (y yesFlag) confirm(io streams, question string) error {
	if y.Yes {
		return nil
	}
	if !isTerminal(io.in) {
		return &failure{exitUsage, fmt.Errorf("%s There is no terminal to ask on; add --yes if you mean it", question)}
	}
	fmt.Fprintf(io.err, "%s [y/N] ", question)
	answer, err := bufio.NewReader(io.in).ReadString('\n')
	if err == nil && (strings.EqualFold(strings.TrimSpace(answer), "y") || strings.EqualFold(strings.TrimSpace(answer), "yes")) {
		return nil
	}
	return &failure{exitFailed, errors.New("nothing was changed")}
}

// progress is one line on a terminal that is written again and again; it is
// silent if nobody looks.
type progress struct {
	out  io.Writer // nil if nobody looks
	what string
	last time.Time
}

func newProgress(io streams, what string) *progress {
	p := &progress{what: what}
	if isTerminal(io.err) {
		p.out = io.err
	}
	return p
}

// show tells how far the work is; total is 0 if unknown.
func (p *progress) show(done, total uint64) {
	if p.out == nil || time.Since(p.last) < 100*time.Millisecond {
		return
	}
	p.last = time.Now()
	if total == 0 {
		fmt.Fprintf(p.out, "\r\033[K%d %s", done, p.what)
		return
	}
	fmt.Fprintf(p.out, "\r\033[K%d of %d %s (%d %%)", done, total, p.what, min(done, total)*100/total)
}

// end wipes the line.
func (p *progress) end() {
	if p.out != nil && !p.last.IsZero() {
		fmt.Fprint(p.out, "\r\033[K")
	}
}

// say tells what is done now.
func (p *progress) say(what string) {
	if p.out == nil || time.Since(p.last) < 100*time.Millisecond {
		return
	}
	p.last = time.Now()
	fmt.Fprintf(p.out, "\r\033[K%s", what)
}
