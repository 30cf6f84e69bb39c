package broker

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// topics are the three topics with the gateway filled in.
type topics struct {
	events           string // with {lane} and {kind} left
	commands, status string
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// topics fills the gateway in and checks the templates, with one fault for
// each field.
func (c Config) topics(gatewayID string) (t topics, faults []error) {
	fill := func(field, template string, allowed ...string) string {
		if err := checkTemplate(template, append(allowed, "{gateway}")); err != nil {
			faults = append(faults, &gateway.FieldError{Field: field, Problem: err.Error()})
		}
		return strings.ReplaceAll(template, "{gateway}", gatewayID)
	}
	t = topics{
		events:   fill("topic", c.Topic, "{lane}", "{kind}"),
		commands: fill("command_topic", c.CommandTopic),
		status:   fill("status_topic", c.StatusTopic),
	}
	if t.commands == t.status || t.commands == t.events {
		faults = append(faults, &gateway.FieldError{Field: "command_topic", Problem: "must differ from the other topics"})
	}
	return t, faults
}

func checkTemplate(template string, allowed []string) error {
	rest := template
	for _, p := range allowed {
		rest = strings.ReplaceAll(rest, p, "x")
	}
	switch unknown := placeholder.FindString(rest); {
	case unknown != "":
		return fmt.Errorf("%s is unknown, allowed: %s", unknown, strings.Join(allowed, ", "))
	case rest == "" || len(rest) > 1024 || strings.ContainsAny(rest, "+#{}\x00"):
		return fmt.Errorf("%.80q: want 1 to 1024 bytes without +, # and single braces", template)
	case strings.HasPrefix(rest, "$"):
		return errors.New("topics that begin with $ belong to the broker")
	}
	return nil
}

// event is the topic of a message.
func (t topics) event(m gateway.Message) string {
	return strings.NewReplacer("{lane}", string(m.ID.Lane), "{kind}", string(m.Kind)).Replace(t.events)
}
