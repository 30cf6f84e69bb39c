package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/service"
	"github.com/fieldpost/fieldpost/storeforward"
)

type queuePurgeCmd struct {
	queueFlag
	yesFlag
	Lane string `arg:"" help:"Lane to empty."`
	JSON bool   `help:"Print JSON." name:"json"`
}

// Help says what it is good for.
func (queuePurgeCmd) Help() string {
	return `Gives up every message that waits in a lane. They are never sent; a gap record
tells the receiver which they were, so that its account stays complete.
Export first what may still be of use:

  fieldpost queue export telemetry --output telemetry.ndjson
  fieldpost queue purge telemetry`
}

// Run asks between two uses of the queue: who thinks about the answer must not
// keep it from a gateway that starts, and Ctrl-C must end the question.
func (c *queuePurgeCmd) Run(io streams) error {
	var s storeforward.Stats
	err := c.use(io, func(_ context.Context, client *client) error { return client.get("/v1/queue", &s) })
	if err != nil {
		return err
	}
	question := fmt.Sprintf("Give up for ever the %d messages that wait in lane %s?", waitingIn(s, gateway.Lane(c.Lane)), c.Lane)
	if err := c.confirm(io, question); err != nil {
		return err
	}
	return c.use(io, func(_ context.Context, client *client) error {
		var purged service.Purged
		if err := client.call(http.MethodPost, "/v1/queue/purge", service.PurgeRequest{Lane: gateway.Lane(c.Lane)}, &purged); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(io.out, purged)
		}
		_, err := fmt.Fprintf(io.out, "%d messages of lane %s given up\n", purged.Messages, c.Lane)
		return err
	})
}

// waitingIn counts what waits in a lane, in inherited ones of its name too.
func waitingIn(s storeforward.Stats, lane gateway.Lane) (n uint64) {
	for _, l := range s.Lanes {
		if l.Lane == lane {
			n += l.Waiting
		}
	}
	return n
}
