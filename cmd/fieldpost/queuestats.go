package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fieldpost/fieldpost/storeforward"
)

type queueStatsCmd struct {
	queueFlag
	JSON      bool    `help:"Print JSON." name:"json"`
	Endurance float64 `help:"What the card can take in all, in TB, for an estimate of its life instead of queue.card_endurance; small consumer cards stand some 10." placeholder:"TB"`
}

func (c *queueStatsCmd) Run(io streams) error {
	var s storeforward.Stats
	err := c.use(io, func(_ context.Context, client *client) error { return client.get("/v1/queue", &s) })
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(io.out, s)
	}
	printLanes(io.out, s)
	fmt.Fprintf(io.out, "\nstore %s: %s of %s used, %s free on the disk, %d commits since %s\n",
		s.Store, bytesText(s.Bytes), bytesText(s.MaxBytes), bytesText(s.DiskFree), s.Commits, s.Opened.Local().Format(timeLayout))
	open := time.Since(s.Opened)
	fmt.Fprintln(io.out, wearLine(s, open))
	fmt.Fprintln(io.out, cardLine(s, c.Endurance, open))
	printTroubles(io.out, s)
	return nil
}

func printLanes(out io.Writer, s storeforward.Stats) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "lane\twaiting\tbytes\toldest seq\tnext seq\taccepted\tacknowledged\tlost\t")
	for _, l := range s.Lanes {
		fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%d\t%d\t%d\t%d\t\n",
			l.Lane, l.Waiting, bytesText(l.Bytes), l.First, l.Next, l.Accepted, l.Acked, l.Lost)
	}
	w.Flush()
	for _, l := range s.Lanes {
		if note := laneNote(s, l); note != "" {
			fmt.Fprintf(out, "lane %s %s\n", l.Lane, note)
		}
	}
}

// laneNote says what is special about a lane; empty if nothing is.
func laneNote(s storeforward.Stats, l storeforward.LaneStats) string {
	var notes []string
	if l.Store != s.Store {
		notes = append(notes, "is of the earlier store "+l.Store+" and only drains")
	}
	if l.Held {
		notes = append(notes, "is held back: nothing is sent")
	}
	if g := l.Gap; g != nil {
		notes = append(notes, fmt.Sprintf("has lost messages %d to %d (%s); their gap record follows", g.First, g.Last, g.Reason))
	}
	return strings.Join(notes, "; ")
}

// wearLine says what the card has taken.
func wearLine(s storeforward.Stats, open time.Duration) string {
	line := fmt.Sprintf("written to the card: %s in %s for %s accepted", bytesText(int64(s.DeviceBytes)), age(open), bytesText(int64(s.BytesAccepted)))
	if s.BytesAccepted > 0 {
		line += fmt.Sprintf(", %.2f bytes a byte", s.WrittenPerAccepted)
	}
	return line + fmt.Sprintf("; %s in the life of the store", bytesText(int64(s.WrittenEver)))
}

// soonest is when the store begins to say how long the card lasts: a shorter
// time is no measure for years.
const soonest = 10 * time.Minute

// cardLine says how long the card lasts if it goes on so, by the endurance
// given here in TB or, for 0, in the config.
func cardLine(s storeforward.Stats, enduranceTB float64, open time.Duration) string {
	years := s.CardYears
	measured := enduranceTB > 0 && s.DeviceBytes > 0 && open >= soonest
	if measured {
		left := max(0, enduranceTB*1e12-float64(s.WrittenEver))
		years = left / float64(s.DeviceBytes) * open.Hours() / (24 * 365.25)
	}
	switch {
	case years > 0:
		return fmt.Sprintf("the card lasts %.3g years more at this rate", years)
	case measured:
		return "the card has taken all that it is said to stand, and more"
	case open < soonest:
		return fmt.Sprintf("how long the card lasts is unknown until the queue has been open for %s", age(soonest))
	case s.DeviceBytes == 0:
		return "how long the card lasts is unknown: nothing has been written to it"
	default:
		return "how long the card lasts is unknown; set queue.card_endurance, or give --endurance"
	}
}

// printTroubles says what is wrong with the store.
func printTroubles(out io.Writer, s storeforward.Stats) {
	if s.Problem != "" {
		fmt.Fprintf(out, "problem since %s: %s\n", s.ProblemSince.Local().Format(timeLayout), s.Problem)
	}
	r := s.Salvage
	if r == nil {
		return
	}
	state := "is being brought over"
	if !r.Done.IsZero() {
		state = "was brought over until " + r.Done.Local().Format(timeLayout)
	}
	fmt.Fprintf(out, "a damaged store %s: %d messages and %d commands, %d messages lost; what is left is in %s\n",
		state, r.Messages, r.Commands, r.Lost, strings.Join(r.Dirs, ", "))
	if r.Problem != "" {
		fmt.Fprintf(out, "problem with it: %s\n", r.Problem)
	}
}
