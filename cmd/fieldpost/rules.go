package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/service"
)

type rulesCmd struct {
	socketFlag
	JSON bool `help:"Print JSON." name:"json"`
}

func (c *rulesCmd) Run(io streams) error {
	var s service.RulesStatus
	if err := c.client().get("/v1/rules", &s); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(io.out, s)
	}
	printRules(io.out, time.Now(), s)
	return nil
}

func printRules(out io.Writer, now time.Time, s service.RulesStatus) {
	if len(s.Rules) == 0 {
		fmt.Fprintln(out, "there are no rules")
		return
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "rule\tstate\tsince\tfired\tlast fired\tnext\twhen it acts")
	for _, r := range s.Rules {
		state := string(r.State)
		if r.Unknown != "" {
			state += ", unknown"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", r.ID, state, ago(now, r.Since), r.Fired, ago(now, r.LastFired), nextTime(r.Next), r.Rule)
	}
	w.Flush()
	for _, r := range s.Rules {
		for _, note := range ruleNotes(r) {
			fmt.Fprintf(out, "%s: %s\n", r.ID, note)
		}
	}
	fmt.Fprintf(out, "times of day are those of %s", s.Zone)
	if p := s.Position; p != nil {
		fmt.Fprintf(out, ", the sun that of %.4g, %.4g", p.Latitude, p.Longitude)
	}
	fmt.Fprintln(out)
}

// nextTime is when something happens by the clock.
func nextTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return shownTime(t)
}

// ruleNotes say what is worth knowing of a rule beside its line.
func ruleNotes(r service.RuleStatus) (notes []string) {
	if r.Problem != "" {
		notes = append(notes, r.Problem)
	}
	if r.Unknown != "" && !strings.Contains(r.Problem, r.Unknown) {
		notes = append(notes, "unknown, since "+r.Unknown)
	}
	if r.Missed > 0 {
		notes = append(notes, fmt.Sprintf("missed %d times, last: %s", r.Missed, r.LastMissed))
	}
	if l := r.Last; l != nil && l.Status != gateway.StatusDone {
		if !strings.Contains(r.Problem, l.Detail) {
			notes = append(notes, fmt.Sprintf("%s %s: %s: %s", l.Device, l.Action, l.Status, l.Detail))
		}
		if !l.Again.IsZero() {
			notes = append(notes, "tried again at "+shownTime(l.Again))
		}
	}
	return notes
}

// rulesLine is what `fieldpost status` says of the rules.
func rulesLine(all []service.RuleStatus) string {
	line := fmt.Sprintf("%d", len(all))
	for _, group := range []struct {
		words string
		in    func(service.RuleStatus) bool
	}{
		{"on", func(r service.RuleStatus) bool { return r.State == "on" }},
		{"unknown", func(r service.RuleStatus) bool { return r.Unknown != "" }},
		{"with a problem", func(r service.RuleStatus) bool { return r.Problem != "" }},
	} {
		var ids []string
		for _, r := range all {
			if group.in(r) {
				ids = append(ids, r.ID)
			}
		}
		if ids != nil {
			line += fmt.Sprintf("; %s: %s", group.words, strings.Join(ids, ", "))
		}
	}
	return line
}
