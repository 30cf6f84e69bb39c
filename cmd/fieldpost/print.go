package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

const timeLayout = "2006-01-02 15:04:05"

// shownTime gives a time for people. What happened before the time was known has the
// uptime of the board instead.
func shownTime(t time.Time) string {
	uptime, undated := gateway.Uptime(t)
	switch {
	case t.IsZero():
		return "unknown"
	case undated:
		return uptime.Round(time.Second).String() + " after start"
	}
	return t.Local().Format(timeLayout)
}

func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// bytesText gives a size for people, in powers of 1000 as disks are sold.
func bytesText(n int64) string {
	const units = "kMGT"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1000, 0
	for f >= 999.95 && i < len(units)-1 {
		f, i = f/1000, i+1
	}
	return fmt.Sprintf("%.1f %cB", f, units[i])
}

// shorten cuts a text for a line of a table.
func shorten(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// ago says how long ago something was, for people.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return age(now.Sub(t)) + " ago"
}

// age gives a duration with the one or two units that matter.
func age(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%d days", int(d.Hours())/24)
	}
}

// printResult shows what became of a command.
func printResult(out io.Writer, r gateway.Result, asJSON bool) error {
	if asJSON {
		return printJSON(out, r)
	}
	_, err := fmt.Fprintln(out, resultLine(r))
	return err
}

func resultLine(r gateway.Result) string {
	line := fmt.Sprintf("%s %s: %s", r.Device, r.Action, r.Status)
	if r.Detail != "" {
		line += ": " + r.Detail
	}
	if len(r.Values) > 0 {
		values, err := json.Marshal(r.Values)
		if err == nil {
			line += " " + string(values)
		}
	}
	return line
}
