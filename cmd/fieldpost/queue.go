package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"text/tabwriter"

	"github.com/fieldpost/fieldpost/gateway/service"
)

type queueCmd struct {
	Stats    queueStatsCmd    `cmd:"" help:"Show the lanes: what waits, what was accepted, acknowledged and lost; and what the card takes."`
	Ls       queueLsCmd       `cmd:"" help:"List messages that wait, oldest first."`
	Export   queueExportCmd   `cmd:"" help:"Write all messages that wait as JSON, one a line; they stay in the queue."`
	Verify   queueVerifyCmd   `cmd:"" help:"Read every message that waits and report damage."`
	Holdings queueHoldingsCmd `cmd:"" help:"Write what was accepted and what waits, as numbers, for an audit elsewhere."`
	Purge    queuePurgeCmd    `cmd:"" help:"Give up everything that waits in a lane."`
}

type queueLsCmd struct {
	queueFlag
	Lane  string `arg:"" optional:"" help:"Lane to list: telemetry, alerts, results, gaps, deadletter, or one of your own." default:"telemetry"`
	From  uint64 `help:"Begin at this sequence number."`
	Limit int    `help:"Print at most this many." default:"20"`
	JSON  bool   `help:"Print one JSON object a line, bodies whole." name:"json"`
}

func (c *queueLsCmd) Run(io streams) error {
	query := url.Values{"lane": {c.Lane}, "from": {strconv.FormatUint(c.From, 10)}, "limit": {strconv.Itoa(c.Limit)}}
	var list []service.QueuedMessage
	err := c.use(io, func(_ context.Context, client *client) error {
		return client.get("/v1/queue/messages?"+query.Encode(), &list)
	})
	if err != nil {
		return err
	}
	return c.print(io, list)
}

func (c *queueLsCmd) print(io streams, list []service.QueuedMessage) error {
	if c.JSON {
		enc := json.NewEncoder(io.out)
		for _, m := range list {
			if err := enc.Encode(m); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		fmt.Fprintf(io.out, "nothing waits in lane %s\n", c.Lane)
		return nil
	}
	w := tabwriter.NewWriter(io.out, 0, 0, 2, ' ', 0)
	for _, m := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d B\t%s\n", m.ID, shownTime(m.Created), m.Kind, m.Size, shorten(m.Body, 80))
	}
	return w.Flush()
}
