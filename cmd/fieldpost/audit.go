package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/fieldpost/fieldpost/gateway/audit"
	"github.com/fieldpost/fieldpost/gateway/service"
	"github.com/fieldpost/fieldpost/storeforward"
)

type auditCmd struct {
	queueFlag
	Files   []string `arg:"" optional:"" name:"file" help:"What the receiver has stored, as NDJSON; - or nothing for standard input."`
	Against string   `help:"Compare also with the queue in this data directory; its gateway must not run." placeholder:"DATA_DIR" type:"path" xor:"compare"`
	Daemon  bool     `help:"Compare also with the running gateway." xor:"compare"`
	Held    string   `help:"Compare also with what 'fieldpost queue holdings' has written." placeholder:"FILE" type:"path" xor:"compare"`
	Lenient bool     `help:"Count lines that are no messages, and go on."`
	JSON    bool     `help:"Print JSON." name:"json"`
}

// Help teaches by example.
func (auditCmd) Help() string {
	return `Proves from what a receiver has stored that no message is missing. Sequence
numbers are contiguous in each lane of a store, and what the gateway gives up is
explained by gap records: every hole must be covered by one. Exit code 1 if one
is not, or if two messages with different content came under one id.

A line of input is a message as one of these has written it: the events of IoT
Hub (routed to storage, or of hubsim), the JSON envelope of an MQTT upstream, or
'fieldpost queue export'. Order and repeats do not matter; give all gap records
along with the messages.

Without more, the audit judges what lies between the first and the last number
received. With --held, --daemon or --against it judges the ends too: all that was
ever accepted must have been received, be explained, or still wait in the queue.
Ask the gateway first, then the receiver: what was delivered between an older
export and the question counts as missing. --daemon and --against ask at once, so
they are for a link that is down or an export that begins now; --held is for all
other times, and for other machines.

Examples:
  curl -sk 'https://localhost:8443/hubsim/events?limit=100000' | fieldpost audit
  fieldpost audit january.ndjson february.ndjson
  fieldpost audit --held held.ndjson stored.ndjson
  fieldpost audit --against /var/lib/fieldpost stored.ndjson`
}

func (c *auditCmd) Run(io streams) error {
	if len(c.Files) == 0 {
		if isTerminal(io.in) {
			return &failure{exitUsage, errors.New("nothing to audit; give a file, or - to type lines (see: fieldpost audit --help)")}
		}
		c.Files = []string{"-"}
	}
	a := audit.New()
	if err := c.hold(io, a); err != nil {
		return err
	}
	skipped, err := c.read(io, a)
	if err != nil {
		return err
	}
	r := a.Report()
	if c.JSON {
		err = printJSON(io.out, auditJSON{Report: r, Skipped: skipped})
	} else {
		printAudit(io.out, r, skipped)
	}
	if err != nil || r.Complete {
		return err
	}
	return &failure{exitFailed, errors.New(verdict(r))}
}

// auditJSON is what --json prints.
type auditJSON struct {
	audit.Report
	// Skipped counts the lines that are no messages.
	Skipped uint64 `json:"skipped"`
}

// hold adds what the gateway has, if that is wanted.
func (c *auditCmd) hold(io streams, a *audit.Auditor) error {
	list, err := c.holdings(io)
	for _, h := range list {
		err = errors.Join(err, a.Hold(h))
	}
	return err
}

func (c *auditCmd) holdings(io streams) (list []audit.Holding, err error) {
	switch {
	case c.Held != "":
		return readHoldings(c.Held)
	case c.Daemon:
		return c.client().holdings(context.Background(), io)
	case c.Against != "":
		return c.against(io)
	}
	return nil, nil
}

// against asks the queue of a gateway that does not run.
func (c *auditCmd) against(io streams) (list []audit.Holding, err error) {
	loaded, unusable := service.Load(c.Config)
	if unusable != nil {
		loaded = nil // it is needed for the key of an encrypted queue only
	}
	queue, err := service.OpenQueueOf(c.Against, loaded, thisBuild(), newLog(io.err, slog.LevelWarn))
	switch {
	case errors.Is(err, storeforward.ErrLocked):
		return nil, &failure{exitUnavailable, fmt.Errorf("audit against %s: %w Compare with a running gateway by --daemon", c.Against, err)}
	case errors.Is(err, storeforward.ErrKey):
		return nil, errors.Join(fmt.Errorf("audit against %s: %w; --config names the config with the key", c.Against, err), unusable)
	case err != nil:
		return nil, fmt.Errorf("audit against %s: %w", c.Against, err)
	}
	err = serveOffline(context.Background(), queue, c.Against, func(ctx context.Context, client *client) error {
		list, err = client.holdings(ctx, io)
		return err
	})
	for i := range list {
		list[i].Final = true
	}
	return list, err
}

// read adds every line of every file.
func (c *auditCmd) read(io streams, a *audit.Auditor) (skipped uint64, err error) {
	p := newProgress(io, "lines")
	defer p.end()
	r := &lineReader{auditor: a, lenient: c.Lenient, progress: p}
	for _, name := range c.Files {
		if err := r.file(io, name); err != nil {
			return r.skipped, err
		}
	}
	return r.skipped, nil
}

// lineReader feeds files to an auditor.
type lineReader struct {
	auditor        *audit.Auditor
	lenient        bool
	progress       *progress
	lines, skipped uint64
}

func (r *lineReader) file(io streams, name string) error {
	if name == "-" {
		return r.read("standard input", io.in)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	return r.read(name, f)
}

func (r *lineReader) read(name string, in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	number := 0
	for lines.Scan() {
		number++
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		r.lines++
		r.progress.show(r.lines, 0)
		if err := r.auditor.Add(line); err != nil {
			if !r.lenient {
				return fmt.Errorf("%s:%d: %w (--lenient passes over such lines)", name, number, err)
			}
			r.skipped++
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s:%d: %w", name, number+1, err)
	}
	return nil
}
