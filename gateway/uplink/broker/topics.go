package broker

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fieldpost/fieldpost/gateway"
)

// topics are those of the config, with the gateway filled in.
type topics struct {
	events           string // with {lane} and {kind} left
	responses        string // with {id} left
	commands, status string
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// maxTopicBytes bounds topics.
const maxTopicBytes = 1024

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
		events:    fill("topic", c.Topic, "{lane}", "{kind}"),
		responses: fill("response_topic", c.ResponseTopic, "{id}"),
		commands:  fill("command_topic", c.CommandTopic),
		status:    fill("status_topic", c.StatusTopic),
	}
	before := t.beforeID()
	if before == "" {
		faults = append(faults, &gateway.FieldError{Field: "response_topic", Problem: "want something before {id}, by which a reply_to is judged"})
	}
	for _, other := range []string{t.commands, t.status, t.events} {
		if before != "" && strings.HasPrefix(other, before) {
			faults = append(faults, &gateway.FieldError{Field: "response_topic", Problem: fmt.Sprintf("what stands before {id} must be of responses alone, and another topic begins with it: %s", other)})
			break
		}
	}
	for _, other := range []string{t.events, t.responses, t.status} {
		if strings.HasPrefix(other+"/", t.commands+"/") {
			faults = append(faults, &gateway.FieldError{Field: "command_topic", Problem: "must differ from the other topics, and none of them may lie below it"})
			break
		}
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
	case rest == "" || len(rest) > maxTopicBytes || strings.ContainsAny(rest, "+#{}") || strings.ContainsFunc(rest, notInTopics):
		return fmt.Errorf("%.80q: want 1 to %d bytes without +, #, single braces and control characters", template, maxTopicBytes)
	case strings.HasPrefix(rest, "$"):
		return errors.New("topics that begin with $ belong to the broker")
	}
	return nil
}

// event is the topic of a message.
func (t topics) event(m gateway.Message) string {
	return strings.NewReplacer("{lane}", string(m.ID.Lane), "{kind}", string(m.Kind)).Replace(t.events)
}

// inLevel writes an id so that it is one level of a topic.
func inLevel(id string) string {
	var b strings.Builder
	for _, r := range id {
		if !strings.ContainsRune("%/+#", r) && !notInTopics(r) {
			b.WriteRune(r)
			continue
		}
		for _, c := range []byte(string(r)) {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// response is where the result of a command goes, unless it names another topic.
func (t topics) response(id string) string {
	return strings.ReplaceAll(t.responses, "{id}", inLevel(id))
}

// beforeID is how topics of responses begin.
func (t topics) beforeID() string {
	before, _, _ := strings.Cut(t.responses, "{id}")
	return before
}

// maxReplyLevels bounds the levels of a reply_to: brokers have a limit of their own.
const maxReplyLevels = 32

// mayReply tells whether a result may go to a topic: one that begins like those of
// responses, so that no command can make the gateway write elsewhere, and without what
// has brokers close the connection, since the result is sent again after that.
func (t topics) mayReply(topic string) bool {
	return strings.HasPrefix(topic, t.beforeID()) && len(topic) <= maxTopicBytes && strings.Count(topic, "/") < maxReplyLevels &&
		utf8.ValidString(topic) && !strings.ContainsAny(topic, "+#") && !strings.ContainsFunc(topic, notInTopics)
}

// notInTopics are characters that MQTT lets a broker refuse: controls, and those that
// Unicode keeps free for ever.
func notInTopics(r rune) bool {
	return unicode.IsControl(r) || r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef
}
