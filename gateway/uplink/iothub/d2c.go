package iothub

import (
	"fmt"
	"mime"
	"strconv"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// MaxMessageBytes bounds body and properties of a message. The hub's limit is
// 262,144; the rest is room for what it counts and does not document.
const MaxMessageBytes = 262_144 - 4096

// creationTimeProperty is the name under which the hub's documentation asks
// for the time at which a message was made.
const creationTimeProperty = "iothub-creation-time-utc"

// properties are what a message says beside its body.
func (l labels) properties(m gateway.Message) (system, application []property) {
	system = append(system, property{"$.mid", m.ID.String()})
	if m.CorrelationID != "" {
		system = append(system, property{"$.cid", m.CorrelationID})
	}
	if l.userID != "" {
		system = append(system, property{"$.uid", l.userID})
	}
	if m.ContentType != "" {
		system = append(system, property{"$.ct", m.ContentType})
	}
	if isText(m.ContentType) { // body routing wants it
		system = append(system, property{"$.ce", "utf-8"})
	}
	if !m.Created.IsZero() {
		created := m.Created.UTC().Format("2006-01-02T15:04:05.000Z")
		application = append(application, property{creationTimeProperty, created})
	}
	application = append(application,
		property{"store", m.ID.Store}, property{"lane", string(m.ID.Lane)},
		property{"seq", strconv.FormatUint(m.ID.Seq, 10)}, property{"kind", string(m.Kind)})
	return system, append(application, l.of(m.ID.Lane)...)
}

func isText(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/json" || strings.HasSuffix(t, "+json") || strings.HasPrefix(t, "text/"))
}

// eventTopic is the topic of a message, or an error that wraps
// uplink.ErrTooLarge. The hub counts the body, the values of the system
// properties, and names and values of the others.
func (l labels) eventTopic(device string, m gateway.Message) (string, error) {
	system, application := l.properties(m)
	size := len(m.Body)
	for _, p := range system {
		size += len(p.value)
	}
	for _, p := range application {
		size += len(p.name) + len(p.value)
	}
	if size > MaxMessageBytes {
		return "", fmt.Errorf("%d bytes with properties, the limit is %d: %w", size, MaxMessageBytes, uplink.ErrTooLarge)
	}
	return "devices/" + device + "/messages/events/" + encodeBag(append(system, application...)), nil
}
