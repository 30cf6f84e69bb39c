package lines

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// Pattern is what a kind of line looks like, and what is in it.
type Pattern struct {
	Match    string              `yaml:"match" doc:"Regular expression (RE2) with a named group for each reading." required:"true" example:"^(?P<weight>[-0-9.]+) kg$"`
	Readings map[string]Quantity `yaml:"readings" doc:"What the groups are. A group that is not named here is a number without unit." default:"{}"`
}

// Quantity is what a group of a pattern stands for.
type Quantity struct {
	Name  string   `yaml:"name" doc:"Name of the reading; left out: that of the group." default:"" pattern:"^([a-z][a-z0-9_]*(\\.[A-Za-z0-9_-]+)?)?$" want:"small letters, digits and _, then perhaps a dot and what it is of"`
	Type  string   `yaml:"type" doc:"Type of the value." default:"number" oneof:"number|text|bool"`
	Unit  string   `yaml:"unit" doc:"Unit of a number, as a UCUM code such as Cel, kg, m/s." default:""`
	True  []string `yaml:"true" doc:"Texts that mean true, whatever their case." default:"[\"1\", \"true\", \"on\", \"yes\"]"`
	False []string `yaml:"false" doc:"Texts that mean false, whatever their case." default:"[\"0\", \"false\", \"off\", \"no\"]"`
}

// matcher is a pattern that is ready.
type matcher struct {
	match *regexp.Regexp
	// groups has the quantity of each group, by its number; an empty name is no
	// reading.
	groups []Quantity
}

var groupShape = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// compile checks a pattern, whose place in the config is field.
func (p Pattern) compile(field string) (matcher, error) {
	match, err := regexp.Compile(p.Match)
	if err != nil {
		return matcher{}, &gateway.FieldError{Field: field + ".match", Problem: fmt.Sprintf("is no regular expression: %v", err)}
	}
	m := matcher{match: match, groups: make([]Quantity, len(match.SubexpNames()))}
	var errs []error
	fault := func(key, problem string, args ...any) {
		errs = append(errs, &gateway.FieldError{Field: field + key, Problem: fmt.Sprintf(problem, args...)})
	}
	seen := make(map[string]bool)
	for i, group := range match.SubexpNames() {
		if group == "" {
			continue
		}
		q, given := p.Readings[group]
		if !given {
			q = Quantity{Type: "number"}
		}
		if q.Name == "" {
			q.Name = group
		}
		if !groupShape.MatchString(group) {
			fault(".match", "the group %q is no name of a reading; want small letters, digits and _", group)
		}
		if seen[q.Name] {
			fault(".match", "two groups give a reading %s; want a name for each", q.Name)
		}
		if q.Unit != "" && q.Type != "number" {
			fault(".readings."+group+".unit", "a %s has no unit; want type: number, or no unit", q.Type)
		}
		seen[q.Name] = true
		m.groups[i] = q
	}
	if len(seen) == 0 {
		fault(".match", "has no named group; want one for each reading, as (?P<weight>[0-9.]+)")
	}
	for group := range p.Readings {
		if !slices.Contains(match.SubexpNames(), group) {
			fault(".readings."+group, "there is no group of this name in match")
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return m, errors.Join(errs...)
}
