package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/fieldpost/fieldpost/gateway/service"
	"github.com/fieldpost/fieldpost/storeforward"
)

type queueCmd struct {
	Stats  queueStatsCmd  `cmd:"" help:"Show the lanes: what waits, what was accepted, acknowledged and lost."`
	Ls     queueLsCmd     `cmd:"" help:"List messages that wait, oldest first."`
	Export queueExportCmd `cmd:"" help:"Write all messages of a lane that wait to stdout, one JSON object a line; they stay in the queue."`
}

type queueStatsCmd struct {
	socketFlag
	JSON      bool    `help:"Print JSON." name:"json"`
	Endurance float64 `help:"What the card can take in all, in TB, for an estimate of its life; small consumer cards stand some 10." default:"10"`
}

func (c *queueStatsCmd) Run(io streams) error {
	var s storeforward.Stats
	if err := c.client().get("/v1/queue", &s); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(io.out, s)
	}
	printLanes(io.out, s)
	fmt.Fprintf(io.out, "\nstore %s: %s of %s used, %s free on the disk, %d commits\n",
		s.Store, bytesText(s.Bytes), bytesText(s.MaxBytes), bytesText(s.DiskFree), s.Commits)
	fmt.Fprintln(io.out, wearLine(s, c.Endurance, time.Since(s.Opened)))
	if s.Problem != "" {
		fmt.Fprintf(io.out, "problem since %s: %s\n", s.ProblemSince.Local().Format(timeLayout), s.Problem)
	}
	return nil
}

// wearLine says what the card has taken, and how long it lasts if it goes on so.
func wearLine(s storeforward.Stats, enduranceTB float64, since time.Duration) string {
	if s.DeviceBytes == 0 {
		return "nothing written to the card yet"
	}
	line := fmt.Sprintf("%s written to the card in %s for %s accepted",
		bytesText(int64(s.DeviceBytes)), age(since), bytesText(int64(s.BytesAccepted)))
	if s.BytesAccepted > 0 {
		line += fmt.Sprintf(" (%.2f bytes a byte)", float64(s.DeviceBytes)/float64(s.BytesAccepted))
	}
	years := enduranceTB * 1e12 / float64(s.DeviceBytes) * since.Hours() / (24 * 365)
	if since < time.Hour {
		return line + "; too early to say how long the card lasts"
	}
	return line + fmt.Sprintf("; a card that stands %g TB lasts %.3g years at this rate", enduranceTB, years)
}

func printLanes(out io.Writer, s storeforward.Stats) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "lane\twaiting\tbytes\toldest seq\tnext seq\taccepted\tacknowledged\tlost\t")
	for _, l := range s.Lanes {
		fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%d\t%d\t%d\t%d\t\n",
			l.Lane, l.Waiting, bytesText(l.Bytes), l.First, l.Next, l.Accepted, l.Acked, l.Lost)
	}
	w.Flush()
}

type queueLsCmd struct {
	socketFlag
	Lane  string `arg:"" optional:"" help:"Lane to list: telemetry, alerts, results, gaps, deadletter, or one of your own." default:"telemetry"`
	From  uint64 `help:"Begin at this sequence number."`
	Limit int    `help:"Print at most this many." default:"20"`
	JSON  bool   `help:"Print one JSON object a line, bodies whole." name:"json"`
}

func (c *queueLsCmd) Run(io streams) error {
	query := url.Values{"lane": {c.Lane}, "from": {strconv.FormatUint(c.From, 10)}, "limit": {strconv.Itoa(c.Limit)}}
	var list []service.QueuedMessage
	if err := c.client().get("/v1/queue/messages?"+query.Encode(), &list); err != nil {
		return err
	}
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
		fmt.Fprintf(w, "%s\t%s\t%s\t%d B\t%s\n", m.ID, m.Created.Local().Format(timeLayout), m.Kind, m.Size, shorten(m.Body, 80))
	}
	return w.Flush()
}
