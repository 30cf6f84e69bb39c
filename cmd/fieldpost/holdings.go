package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fieldpost/fieldpost/gateway/audit"
)

type queueHoldingsCmd struct {
	queueFlag
	Output string `help:"File to write to instead of stdout; it appears when it is complete." short:"o" type:"path"`
}

// Help says what it is for.
func (queueHoldingsCmd) Help() string {
	return `Says of each lane which sequence numbers were accepted, which wait, and which are
explained by gap records that wait too: one JSON object a line, without the
messages. With it, an audit elsewhere judges the ends of the lanes as well. Take
it first and export from the receiver afterwards:

  fieldpost queue holdings --output held.ndjson
  … export from the receiver into stored.ndjson …
  fieldpost audit --held held.ndjson stored.ndjson`
}

func (c *queueHoldingsCmd) Run(io streams) error {
	return c.use(io, func(ctx context.Context, client *client) error {
		list, err := client.holdings(ctx, io)
		if err != nil {
			return err
		}
		return writeTo(io, c.Output, func(out *bufio.Writer) error {
			enc := json.NewEncoder(out)
			for _, h := range list {
				if err := enc.Encode(h); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// holdings asks what the queue has of each lane.
func (c *client) holdings(ctx context.Context, io streams) ([]audit.Holding, error) {
	line, err := c.work(ctx, io, "/v1/queue/holdings")
	if err != nil {
		return nil, err
	}
	if len(line.Holdings) == 0 {
		return nil, errors.New("holdings: the gateway has answered without any")
	}
	return line.Holdings, nil
}

// readHoldings reads what queueHoldingsCmd has written.
func readHoldings(file string) (list []audit.Holding, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	decoder := json.NewDecoder(f)
	decoder.DisallowUnknownFields()
	for {
		var h audit.Holding
		switch err := decoder.Decode(&h); {
		case errors.Is(err, io.EOF) && len(list) > 0:
			return list, nil
		case err != nil:
			return nil, fmt.Errorf("%s: not what 'fieldpost queue holdings' writes: %w", file, err)
		}
		list = append(list, h)
	}
}
