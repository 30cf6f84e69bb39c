package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/service"
)

type queueExportCmd struct {
	socketFlag
	Lane string `arg:"" optional:"" help:"Lane to export, for example telemetry or deadletter." default:"telemetry"`
	From uint64 `help:"Begin at this sequence number."`
}

// exported is one line of an export. Bodies that are JSON stand in it as such,
// so that jq can look into them.
type exported struct {
	ID          string       `json:"id"`
	Kind        gateway.Kind `json:"kind"`
	Created     time.Time    `json:"created"`
	Correlation string       `json:"correlation,omitempty"`
	ContentType string       `json:"content_type"`
	Body        any          `json:"body"`
}

// exportPage is how many messages are asked for at once.
const exportPage = 500

func (c *queueExportCmd) Run(io streams) error {
	client, enc := c.client(), json.NewEncoder(io.out)
	progress := isTerminal(io.err)
	for from, count := c.From, 0; ; {
		query := url.Values{"lane": {c.Lane}, "from": {strconv.FormatUint(from, 10)}, "limit": {strconv.Itoa(exportPage)}}
		var page []service.QueuedMessage
		if err := client.get("/v1/queue/messages?"+query.Encode(), &page); err != nil {
			return err
		}
		for _, m := range page {
			if err := enc.Encode(exportLine(m)); err != nil {
				return fmt.Errorf("export of lane %s after %d messages: %w", c.Lane, count, err)
			}
			count++
		}
		if progress {
			fmt.Fprintf(io.err, "\r%d messages", count)
		}
		if len(page) == 0 {
			if progress {
				fmt.Fprintln(io.err)
			}
			return nil
		}
		last, err := gateway.ParseMessageID(page[len(page)-1].ID)
		if err != nil {
			return err
		}
		from = last.Seq + 1
	}
}

func exportLine(m service.QueuedMessage) exported {
	e := exported{ID: m.ID, Kind: m.Kind, Created: m.Created, Correlation: m.Correlation, ContentType: m.ContentType, Body: m.Body}
	if json.Valid([]byte(m.Body)) {
		e.Body = json.RawMessage(m.Body)
	}
	return e
}

// isTerminal reports whether a person is looking.
func isTerminal(out any) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
