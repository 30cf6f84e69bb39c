package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/fieldpost/fieldpost/gateway/audit"
)

// maxShown bounds how many ranges of a lane a person is shown.
const maxShown = 20

func printAudit(out io.Writer, r audit.Report, skipped uint64) {
	printAuditTable(out, r)
	for _, l := range r.Lanes {
		printFindings(out, l)
	}
	if skipped > 0 {
		fmt.Fprintf(out, "%d lines are no messages and were passed over\n", skipped)
	}
	if r.Complete {
		fmt.Fprintf(out, "complete: %s\n", proof(r))
	}
}

func printAuditTable(out io.Writer, r audit.Report) {
	if len(r.Lanes) == 0 {
		return
	}
	compared := r.Compared()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := "store\tlane\tdevice\tfirst\tlast\treceived\trepeats\twoven\tholes\texplained\tmissing\t"
	if compared {
		head += "accepted\tqueued\t"
	}
	fmt.Fprintln(w, head)
	for _, l := range r.Lanes {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t",
			l.Store, l.Lane, deviceText(l.Devices), l.First, l.Last, l.Received, l.Duplicates, l.Woven, l.Holes, l.Explained, l.Unexplained)
		switch {
		case l.Asked:
			fmt.Fprintf(w, "%d\t%d\t", l.Accepted, l.Queued)
		case compared:
			fmt.Fprint(w, "unknown\tunknown\t")
		}
		fmt.Fprintln(w)
	}
	w.Flush()
}

func deviceText(devices []string) string {
	switch len(devices) {
	case 0:
		return "-"
	case 1:
		return shorten(devices[0], 40)
	}
	return fmt.Sprintf("%s and %d more", shorten(devices[0], 40), len(devices)-1)
}

// printFindings says what a table has no room for.
func printFindings(out io.Writer, l audit.LaneReport) {
	name := fmt.Sprintf("%s-%s", l.Store, l.Lane)
	if l.Unexplained > 0 {
		fmt.Fprintf(out, "%s: missing and not explained: %s\n", name, rangesText(l.Missing))
	}
	if l.Conflicts > 0 {
		fmt.Fprintf(out, "%s: different content under one id: %s\n", name, rangesText(l.Conflicting))
	}
	if len(l.Devices) > 1 {
		fmt.Fprintf(out, "%s: comes from %d devices, %s; was a card cloned?\n", name, len(l.Devices), shorten(strings.Join(l.Devices, ", "), 200))
	}
	if l.OutOfOrder > 0 {
		fmt.Fprintf(out, "%s: %d messages came out of order\n", name, l.OutOfOrder)
	}
	if l.NotCompared > 0 {
		fmt.Fprintf(out, "%s: %d repeats were not compared, their times are estimated or the first delivery was too many messages before\n", name, l.NotCompared)
	}
	switch {
	case l.Impossible() > 0:
		fmt.Fprintf(out, "%s: %d messages have numbers that this queue has not given out: it is older than what it has sent\n", name, l.Newer)
	case l.Newer > 0:
		fmt.Fprintf(out, "%s: %d messages were accepted after the gateway was asked\n", name, l.Newer)
	}
}

func rangesText(list audit.Ranges) string {
	var texts []string
	for _, r := range list[:min(len(list), maxShown)] {
		texts = append(texts, r.String())
	}
	if len(list) > maxShown {
		texts = append(texts, "… (--json shows more)")
	}
	return strings.Join(texts, ", ")
}

// proof says what a complete report proves.
func proof(r audit.Report) string {
	var received, explained, queued uint64
	for _, l := range r.Lanes {
		received, explained, queued = received+l.Received, explained+l.Explained, queued+l.Queued
	}
	text := fmt.Sprintf("%d messages received, %d explained by gap records", received, explained)
	if r.Compared() {
		return text + fmt.Sprintf(", %d still in the queue, none missing", queued)
	}
	return text + ", none missing between the first and the last"
}

// verdict says in a line why a report is not complete.
func verdict(r audit.Report) string {
	var missing, conflicts, impossible uint64
	for _, l := range r.Lanes {
		missing, conflicts, impossible = missing+l.Unexplained, conflicts+l.Conflicts, impossible+l.Impossible()
	}
	switch {
	case missing == 0 && conflicts == 0 && impossible > 0:
		return fmt.Sprintf("NOT right: %d messages have numbers that the queue has not given out", impossible)
	case missing == 0 && conflicts == 0:
		return "nothing to judge: there is no message in the input"
	case conflicts == 0:
		return fmt.Sprintf("NOT complete: %d messages are missing without an explanation", missing)
	case missing == 0:
		return fmt.Sprintf("NOT right: %d ids came with different content", conflicts)
	}
	return fmt.Sprintf("NOT complete: %d messages are missing without an explanation, and %d ids came with different content", missing, conflicts)
}
