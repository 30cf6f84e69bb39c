package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/storeforward"
)

type queueExportCmd struct {
	queueFlag
	Lane   string `arg:"" optional:"" help:"Lane to export, for example telemetry; all that are sent if left out."`
	From   uint64 `help:"Begin at this sequence number of the lane."`
	Output string `help:"File to write to instead of stdout; it appears when it is complete." short:"o" type:"path"`
}

// Help teaches by example.
func (queueExportCmd) Help() string {
	return `A line is a message: id, store, lane, seq, kind, created, content_type,
correlation, and body as JSON, or bodyBase64 if it is not JSON.

Examples:
  fieldpost queue export telemetry --output waiting.ndjson
  fieldpost queue export telemetry | jq -r '.body.readings[] | [.time, .name, .value] | @csv'
  fieldpost queue export gaps | jq -c .body`
}

func (c *queueExportCmd) Run(io streams) error {
	path := "/v1/queue/export?" + url.Values{"lane": {c.Lane}, "from": {strconv.FormatUint(c.From, 10)}}.Encode()
	return c.use(io, func(ctx context.Context, client *client) error {
		var s storeforward.Stats
		if err := client.get("/v1/queue", &s); err != nil {
			return err
		}
		total := uint64(0)
		for _, l := range s.Lanes {
			if string(l.Lane) == c.Lane || c.Lane == "" && l.Lane != gateway.LaneDeadLetter {
				total += l.Waiting
			}
		}
		count, err := exportTo(ctx, io, c.Output, client, path, total)
		if err != nil {
			return fmt.Errorf("export after %d messages: %w", count, err)
		}
		return nil
	})
}

// exportTo copies the lines of an answer to a file, or to stdout for "", and
// counts them.
func exportTo(ctx context.Context, io streams, file string, client *client, path string, total uint64) (count uint64, err error) {
	err = writeTo(io, file, func(out *bufio.Writer) error {
		p := newProgress(io, "messages")
		defer p.end()
		return client.stream(ctx, path, func(line []byte) error {
			if _, err := out.Write(line); err != nil {
				return err
			}
			count++
			p.show(count, total)
			return out.WriteByte('\n')
		})
	})
	return count, err
}

// writeTo calls f with stdout, or with a file that takes its name when all is
// written and synced.
func writeTo(io streams, file string, f func(out *bufio.Writer) error) error {
	if file == "" || file == "-" {
		return writeAll(io.out, f)
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".part-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // it is gone if all went well
	err = writeAll(tmp, f)
	if err == nil {
		err = tmp.Sync()
	}
	if closed := tmp.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}

func writeAll(out io.Writer, f func(out *bufio.Writer) error) error {
	w := bufio.NewWriterSize(out, 64<<10)
	if err := f(w); err != nil {
		_ = w.Flush() // what there is may be of use; the error counts
		return err
	}
	return w.Flush()
}
