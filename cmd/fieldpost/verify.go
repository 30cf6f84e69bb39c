package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/fieldpost/fieldpost/gateway/service"
	"github.com/fieldpost/fieldpost/storeforward"
)

type queueVerifyCmd struct {
	queueFlag
	JSON bool `help:"Print JSON." name:"json"`
}

// Help says what the exit code means.
func (queueVerifyCmd) Help() string {
	return `Reads every message that waits, checksums and all, and hands none out.
Exit code 1 if some cannot be read. What is damaged becomes a gap record when
its turn comes, so that the receiver knows which messages are missing.`
}

func (c *queueVerifyCmd) Run(io streams) error {
	return c.use(io, func(ctx context.Context, client *client) error {
		line, err := client.work(ctx, io, "/v1/queue/verify")
		if err != nil {
			return err
		}
		if line.Verify == nil {
			return errors.New("verify: the gateway has answered without a report")
		}
		if err := c.print(io.out, *line.Verify); err != nil {
			return err
		}
		if n := len(line.Verify.Damaged); n > 0 {
			return &failure{exitFailed, fmt.Errorf("%d ranges of messages cannot be read", n)}
		}
		return nil
	})
}

func (c *queueVerifyCmd) print(out io.Writer, r storeforward.VerifyReport) error {
	if c.JSON {
		return printJSON(out, r)
	}
	for _, d := range r.Damaged {
		fmt.Fprintf(out, "damaged: lane %s of store %s, messages %d to %d: %s\n", d.Lane, d.Store, d.First, d.Last, d.Problem)
	}
	_, err := fmt.Fprintf(out, "%d messages read, %s in %d chunks\n", r.Messages, bytesText(r.Bytes), r.Chunks)
	return err
}

// work waits for a long answer, shows its progress and returns the last line.
func (c *client) work(ctx context.Context, io streams, path string) (result service.WorkLine, err error) {
	p := newProgress(io, "messages")
	defer p.end()
	err = c.stream(ctx, path, func(data []byte) error {
		var line service.WorkLine
		if err := json.Unmarshal(data, &line); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if line.Progress != nil {
			p.show(line.Progress.Done, line.Progress.Total)
			return nil
		}
		result = line
		return nil
	})
	return result, err
}
