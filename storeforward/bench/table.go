package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

var heading = []string{
	"figure", "with", "unit", "raw", "fieldpost", "min..max", "of raw", "budget", "kept",
	"wal", "bbolt", "fieldpost+key", "of fieldpost",
}

// cells is the line of the table for an outcome.
func (o outcome) cells() []string {
	line := []string{o.name(), o.job.describe(), units[o.figure], o.value(engineRaw), o.value(engineFieldpost)}
	spread, ratio, bound, kept := none, none, "", ""
	if len(o.engines[engineFieldpost]) > 0 {
		r := o.row(engineFieldpost)
		spread = number(r.Min) + ".." + number(r.Max)
		ratio, bound = proportion(r.Ratio), r.Budget
		if r.Within != nil {
			kept = map[bool]string{true: "yes", false: "NO"}[*r.Within]
		}
	}
	return append(line, spread, ratio, bound, kept,
		o.value(engineWAL), o.value(engineBolt), o.value(engineSealed), proportion(o.ratio(engineSealed)))
}

// none stands for what an engine cannot do or what was not measured.
const none = "–"

func (o outcome) value(engine string) string {
	if len(o.engines[engine]) == 0 {
		return none
	}
	return number(median(o.engines[engine]))
}

func proportion(v float64) string {
	if v == 0 {
		return none
	}
	return fmt.Sprintf("%.3g", v)
}

// number writes a figure with about three digits.
func number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 0.1:
		return fmt.Sprintf("%.3f", v)
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 1000:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func printTable(w io.Writer, list []outcome) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(heading, "\t"))
	for _, o := range list {
		fmt.Fprintln(t, strings.Join(o.cells(), "\t"))
	}
	t.Flush()
}

func printMarkdown(w io.Writer, list []outcome) {
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(heading, " | "), strings.Repeat("---|", len(heading)))
	for _, o := range list {
		fmt.Fprintf(w, "| %s |\n", strings.Join(o.cells(), " | "))
	}
}

// verdict says how many budgets were kept.
func verdict(list []outcome) string {
	kept, all := 0, 0
	for _, r := range rows(list) {
		if r.Within != nil {
			all++
			if *r.Within {
				kept++
			}
		}
	}
	return fmt.Sprintf("%d of %d budgets kept", kept, all)
}
