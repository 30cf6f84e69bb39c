package link

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// mostDescriptor is how long a descriptor may be, in bytes.
const mostDescriptor = 8192

// Descriptor says what a microcontroller is and can do.
type Descriptor struct {
	// Text is the descriptor as the microcontroller has it.
	Text string
	Name string // of the device
	Help string
	// Firmware and Version name what runs on it.
	Firmware string
	Version  Version
	Channels []Channel
	Actions  []Action
	Settings []Setting
}

// Field is what a channel, an argument, a result and a setting have in common.
type Field struct {
	Name string
	Kind Kind
	// Unit is a UCUM code; empty for none.
	Unit string
	// Min and Max bound numbers, both included; nil is unbounded.
	Min, Max *float64
	// OneOf lists the texts that are allowed; empty allows any.
	OneOf []string
	Help  string
}

// Channel is a quantity that readings are of.
type Channel struct {
	ID uint8
	Field
	// Every is the normal pause between readings in ms; 0: no fixed one.
	Every uint32
}

// Action is one thing that the microcontroller can be asked to do.
type Action struct {
	ID   uint8
	Name string
	Help string
	// Idempotent actions may be repeated without harm.
	Idempotent bool
	// Lease says that the action takes a lease.
	Lease bool
	// Timeout is how long it may take, in ms; 0: no longer than any request.
	Timeout uint32
	Args    []Arg
	Results []Field
}

// Arg is an argument of an action.
type Arg struct {
	Field
	Required bool
	// Safe is what the output that it sets has in the safe state; nil: not told.
	Safe *Value
}

// Setting is kept by the microcontroller over resets.
type Setting struct {
	ID uint8
	Field
}

// ParseDescriptor reads a descriptor. The error says what is wrong with each line
// that is, and wraps gateway.ErrInvalid.
func ParseDescriptor(text []byte) (*Descriptor, error) {
	if len(text) > mostDescriptor {
		return nil, fmt.Errorf("the descriptor has %d bytes, %d are allowed: %w", len(text), mostDescriptor, gateway.ErrInvalid)
	}
	body, ended := strings.CutSuffix(string(text), "\n")
	if !ended {
		return nil, fmt.Errorf("the descriptor does not end with a line feed: %w", gateway.ErrInvalid)
	}
	p := parser{d: &Descriptor{Text: string(text)}, seen: map[string]bool{}}
	var faults []error
	for i, s := range strings.Split(body, "\n") {
		if err := p.line(i, s); err != nil {
			faults = append(faults, fmt.Errorf("line %d of the descriptor: %w", i+1, err))
		}
	}
	if !p.seen["firmware"] {
		faults = append(faults, errors.New("the descriptor has no line firmware"))
	}
	if faults != nil {
		return nil, fmt.Errorf("%w: %w", errors.Join(faults...), gateway.ErrInvalid)
	}
	return p.d, nil
}

// parser holds what a line may depend on.
type parser struct {
	d *Descriptor
	// seen are keywords that stand once, and the ids and names that were given.
	seen map[string]bool
}

func (p *parser) line(i int, s string) error {
	l, err := parseLine(s)
	if err != nil {
		return err
	}
	if want := [...]string{"device", "firmware"}; i < len(want) && l.keyword != want[i] {
		return fmt.Errorf("want %s here, not %q", want[i], l.keyword)
	}
	switch l.keyword {
	case "device":
		p.d.Name, p.d.Help = l.label("name"), l.attrs["help"]
		err = p.once(l.keyword)
	case "firmware":
		p.d.Firmware = l.label("name")
		p.d.Version = l.version("version")
		err = p.once(l.keyword)
	case "channel":
		c := Channel{ID: l.id(), Field: l.field(), Every: l.millis("every")}
		p.d.Channels = append(p.d.Channels, c)
		err = p.mark("channel", c.ID, c.Name)
	case "action":
		a := l.action()
		p.d.Actions = append(p.d.Actions, a)
		err = p.mark("action", a.ID, a.Name)
	case "arg", "result":
		err = p.part(l)
	case "setting":
		s := Setting{ID: l.id(), Field: l.field()}
		p.d.Settings = append(p.d.Settings, s)
		err = p.mark("setting", s.ID, s.Name)
	}
	return errors.Join(l.fault, err)
}

// part adds an argument or a result to the action before it.
func (p *parser) part(l *line) error {
	if len(p.d.Actions) == 0 {
		return fmt.Errorf("%s before any action", l.keyword)
	}
	a := &p.d.Actions[len(p.d.Actions)-1]
	f := l.field()
	if l.keyword == "result" {
		a.Results = append(a.Results, f)
	} else {
		arg := Arg{Field: f, Required: l.flag("required"), Safe: l.safe(f)}
		if n := len(a.Args); arg.Required && n > 0 && !a.Args[n-1].Required {
			return errors.New("a required argument behind one that is not")
		}
		a.Args = append(a.Args, arg)
	}
	return p.once(fmt.Sprintf("%s %s of %s", l.keyword, f.Name, a.Name))
}

func (p *parser) mark(kind string, id uint8, name string) error {
	return errors.Join(p.once(fmt.Sprintf("%s id=%d", kind, id)), p.once(kind+" name="+name))
}

func (p *parser) once(what string) error {
	if p.seen[what] {
		return fmt.Errorf("%s stands twice", what)
	}
	p.seen[what] = true
	return nil
}
