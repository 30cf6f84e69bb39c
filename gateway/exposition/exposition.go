// Package exposition writes numbers in the text format of Prometheus, version 0.0.4, which
// scrapers of many makes read. The library of Prometheus would bring its own registry,
// counters and encodings; here the numbers are there already, and a page of text is all
// that is wanted of them.
package exposition

import (
	"strconv"
	"strings"
)

// ContentType of a page.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Page is what one scrape is answered. The zero Page is empty.
type Page struct{ text []byte }

// Sample is one number of a family.
type Sample struct {
	Value float64
	// Labels are names and values in turn. One without a value is left out, which means
	// the same.
	Labels []string
}

// Counter adds a family of numbers that only grow, until they begin anew. One without
// samples leaves no trace.
func (p *Page) Counter(name, help string, samples ...Sample) {
	p.family("counter", name, help, samples)
}

// Gauge adds a family of numbers that come and go.
func (p *Page) Gauge(name, help string, samples ...Sample) {
	p.family("gauge", name, help, samples)
}

// Bytes is the page as text. Samples stand in the order in which they were given.
func (p *Page) Bytes() []byte { return p.text }

// What the format has an escape for.
var (
	inHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	inLabel = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

func (p *Page) family(kind, name, help string, samples []Sample) {
	if len(samples) == 0 {
		return
	}
	p.add("# HELP ", name, " ", inHelp.Replace(help), "\n# TYPE ", name, " ", kind, "\n")
	for _, s := range samples {
		p.add(name)
		before := "{"
		for i := 0; i+1 < len(s.Labels); i += 2 {
			if label, value := s.Labels[i], s.Labels[i+1]; value != "" {
				p.add(before, label, `="`, inLabel.Replace(strings.ToValidUTF8(value, "\uFFFD")), `"`)
				before = ","
			}
		}
		if before == "," {
			p.add("}")
		}
		p.add(" ")
		p.text = append(strconv.AppendFloat(p.text, s.Value, 'g', -1, 64), '\n')
	}
}

func (p *Page) add(parts ...string) {
	for _, part := range parts {
		p.text = append(p.text, part...)
	}
}
