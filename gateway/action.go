package gateway

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Action is one thing that a device can be asked to do.
type Action struct {
	Name string `json:"name"`
	// Help says in one line what happens in the real world.
	Help string `json:"help"`
	Args []Arg  `json:"args,omitempty"`
	// Idempotent actions may be repeated after a crash without harm.
	Idempotent bool `json:"idempotent"`
	// Resumable actions go on after a crash where they were, so that nothing of them
	// is done twice although the whole is not idempotent. Do is told by
	// Command.Resumed; at a stop it returns at once, with an error that wraps
	// context.Canceled. If it is cancelled, which the cause of its context tells, it
	// may take its time to end in order.
	Resumable bool `json:"resumable,omitempty"`
	// Patient actions wait, within their time, for a device that is absent.
	Patient bool `json:"patient,omitempty"`
	// Momentary actions change something for a moment only, which the argument ms
	// gives, and put it back before they are done.
	Momentary bool `json:"momentary,omitempty"`
	// Allowed are those who may ask for it (hub, local, rule); nil: all of them.
	Allowed []string `json:"allowed,omitzero"`
	// Timeout bounds one execution; zero means the dispatcher's default.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// ArgType is the JSON type of an argument.
type ArgType string

// The types of arguments.
const (
	ArgBool    ArgType = "bool"
	ArgNumber  ArgType = "number"
	ArgInteger ArgType = "integer"
	ArgText    ArgType = "text"
)

const (
	// MaxArgText is how many bytes a text may have whose Arg does not say.
	MaxArgText = 1 << 10
	// maxArgInteger is the largest magnitude up to which a float64 holds every
	// integer: beyond it, what was sent may have been another.
	maxArgInteger = 1<<53 - 1
	// maxShown bounds how much of a wrong value an error shows.
	maxShown = 80
)

// Arg declares one argument of an action.
type Arg struct {
	Name     string  `json:"name"`
	Type     ArgType `json:"type"`
	Help     string  `json:"help,omitempty"`
	Unit     string  `json:"unit,omitempty"`
	Required bool    `json:"required,omitempty"`
	// Min and Max bound numbers and integers, both included; nil is unbounded.
	Min *float64 `json:"min,omitempty"`
	Max *float64 `json:"max,omitempty"`
	// OneOf lists the texts that are allowed; empty allows any of up to MaxBytes.
	OneOf []string `json:"one_of,omitempty"`
	// MaxBytes bounds a text; zero is MaxArgText.
	MaxBytes int `json:"max_bytes,omitempty"`
}

// Check verifies args against the declaration. Its error wraps ErrDenied and
// names every argument at fault.
func (a Action) Check(args map[string]any) error {
	var faults []string
	for _, arg := range a.Args {
		v, given := args[arg.Name]
		switch {
		case given:
			if fault := arg.check(v); fault != "" {
				faults = append(faults, arg.Name+": "+fault)
			}
		case arg.Required:
			faults = append(faults, arg.Name+": missing, want "+arg.Wants())
		}
	}
	for name := range args {
		if !slices.ContainsFunc(a.Args, func(arg Arg) bool { return arg.Name == name }) {
			faults = append(faults, name+": unknown argument, "+a.known())
		}
	}
	if faults == nil {
		return nil
	}
	slices.Sort(faults)
	return fmt.Errorf("%s: %s: %w", a.Name, strings.Join(faults, "; "), ErrDenied)
}

// known lists the arguments that there are.
func (a Action) known() string {
	if len(a.Args) == 0 {
		return "there are none"
	}
	names := make([]string, len(a.Args))
	for i, arg := range a.Args {
		names[i] = arg.Name
	}
	return "want " + strings.Join(names, ", ")
}

func (a Arg) check(v any) string {
	if s, isText := v.(string); isText && a.Type == ArgText {
		return a.checkText(s)
	}
	ok := false
	switch x := v.(type) {
	case bool:
		ok = a.Type == ArgBool
	case float64:
		ok = a.Type == ArgNumber || a.Type == ArgInteger && x == math.Trunc(x) && math.Abs(x) <= maxArgInteger
		ok = ok && !math.IsNaN(x) && !math.IsInf(x, 0) && (a.Min == nil || x >= *a.Min) && (a.Max == nil || x <= *a.Max)
	}
	if ok {
		return ""
	}
	return fmt.Sprintf("%s is not allowed, want %s", shown(v), a.Wants())
}

func (a Arg) checkText(s string) string {
	limit := a.MaxBytes
	if limit == 0 {
		limit = MaxArgText
	}
	switch {
	case len(a.OneOf) > 0 && !slices.Contains(a.OneOf, s):
		return fmt.Sprintf("%s is not allowed, want %s", shown(s), a.Wants())
	case len(a.OneOf) == 0 && len(s) > limit:
		return fmt.Sprintf("has %d bytes, want at most %d", len(s), limit)
	case !utf8.ValidString(s):
		return "is not UTF-8"
	}
	return ""
}

// shown is a value for an error, which must not grow with what was sent.
func shown(v any) string {
	if s, isText := v.(string); isText && len(s) > maxShown {
		return strings.ToValidUTF8(s[:maxShown], "") + "…"
	}
	return fmt.Sprint(v)
}

// Wants says in words what the argument may be, for example "number in ms ≥ 1 ≤ 500".
func (a Arg) Wants() string {
	var b strings.Builder
	b.WriteString(string(a.Type))
	if a.Unit != "" {
		b.WriteString(" in " + a.Unit)
	}
	if a.Min != nil {
		fmt.Fprintf(&b, " ≥ %s", plain(*a.Min))
	}
	if a.Max != nil {
		fmt.Fprintf(&b, " ≤ %s", plain(*a.Max))
	}
	if len(a.OneOf) > 0 {
		b.WriteString(" of " + strings.Join(a.OneOf, ", "))
	}
	return b.String()
}

// Usage shows the arguments as they are typed, with what may stand there; those
// in brackets may be left out: "on=true|false [ms=1..5000]".
func (a Action) Usage() string {
	words := make([]string, len(a.Args))
	for i, arg := range a.Args {
		words[i] = arg.Name + "=" + arg.choice()
		if !arg.Required {
			words[i] = "[" + words[i] + "]"
		}
	}
	return strings.Join(words, " ")
}

func (a Arg) choice() string {
	switch {
	case a.Type == ArgBool:
		return "true|false"
	case len(a.OneOf) > 0:
		return strings.Join(a.OneOf, "|")
	case a.Min == nil && a.Max == nil:
		return strings.ToUpper(string(a.Type))
	}
	var least, most string
	if a.Min != nil {
		least = plain(*a.Min)
	}
	if a.Max != nil {
		most = plain(*a.Max)
	}
	return least + ".." + most
}

// plain writes a bound as people do, without an exponent.
func plain(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
