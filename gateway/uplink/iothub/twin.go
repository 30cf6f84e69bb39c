package iothub

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// Twin is the gateway as its hub knows it: what it is (reported) and what it
// should be (desired). Methods are called from one goroutine at a time.
type Twin interface {
	// Reported is the state of the gateway, whole: an object of JSON within the
	// hub's limits. It is asked for now and then; what has changed is sent.
	Reported() map[string]any
	// Urgent tells that Reported has news that somebody waits for.
	Urgent() <-chan struct{}
	// Desire is told the desired properties, whole, when a session begins and
	// after each change. The hub counts the version up with each change.
	Desire(version int64, properties map[string]any)
}

// The topics of the twin.
const (
	twinPrefix         = "$iothub/twin/"
	twinAnswerPrefix   = twinPrefix + "res/"
	twinDesiredPrefix  = twinPrefix + "PATCH/properties/desired/"
	twinGetTopic       = twinPrefix + "GET/?$rid="
	twinReportedPrefix = twinPrefix + "PATCH/properties/reported/?$rid="
)

func isTwin(topic string) bool { return strings.HasPrefix(topic, twinPrefix) }

// twinMessage is what a hub says about the twin: the answer to a request, or a
// change of the desired properties.
type twinMessage struct {
	// status and rid are those of an answer; status is 0 for a change.
	status int
	rid    string
	// version of the desired properties after the change.
	version int64
	body    []byte
}

// parseTwin reads $iothub/twin/res/{status}/?$rid={rid} and
// $iothub/twin/PATCH/properties/desired/?$version={version}.
func parseTwin(topic string, body []byte) (twinMessage, error) {
	m := twinMessage{body: body}
	if rest, ok := strings.CutPrefix(topic, twinAnswerPrefix); ok {
		digits, query, _ := strings.Cut(rest, "/?")
		status, err := strconv.Atoi(digits)
		rid, found := queryValue(query, "$rid")
		if err == nil && status >= 100 && status <= 999 && found {
			m.status, m.rid = status, rid
			return m, nil
		}
	}
	if rest, ok := strings.CutPrefix(topic, twinDesiredPrefix); ok {
		digits, _ := queryValue(strings.TrimPrefix(rest, "?"), "$version")
		version, err := strconv.ParseInt(digits, 10, 64)
		if err == nil && version >= 0 {
			m.version = version
			return m, nil
		}
	}
	return twinMessage{}, fmt.Errorf("twin topic %.80q: want %s{status}/?$rid={rid} or %s?$version={version}: %w",
		topic, twinAnswerPrefix, twinDesiredPrefix, gateway.ErrInvalid)
}

// queryValue is the value of a name in a=b&c=d, as it stands there.
func queryValue(query, name string) (value string, found bool) {
	for pair := range strings.SplitSeq(query, "&") {
		if left, right, ok := strings.Cut(pair, "="); ok && left == name {
			return right, right != ""
		}
	}
	return "", false
}

// twinDocument is a whole twin, without what the hub adds to the properties.
type twinDocument struct {
	version           int64 // of desired
	desired, reported map[string]any
}

func parseTwinDocument(body []byte) (twinDocument, error) {
	var raw struct{ Desired, Reported map[string]any }
	if err := json.Unmarshal(body, &raw); err != nil {
		return twinDocument{}, fmt.Errorf("twin: %w: %w", err, gateway.ErrInvalid)
	}
	version, ok := wholeNumber(raw.Desired["$version"])
	if !ok {
		return twinDocument{}, fmt.Errorf("twin: the desired properties have no $version: %w", gateway.ErrInvalid)
	}
	return twinDocument{version, withoutHubs(raw.Desired), withoutHubs(raw.Reported)}, nil
}

// parseTwinPatch reads a change of the desired properties.
func parseTwinPatch(body []byte) (map[string]any, error) {
	var patch map[string]any
	if err := json.Unmarshal(body, &patch); err != nil {
		return nil, fmt.Errorf("desired properties: %w: %w", err, gateway.ErrInvalid)
	}
	for name := range patch {
		if strings.HasPrefix(name, "$") {
			delete(patch, name)
		}
	}
	return patch, nil
}

// withoutHubs leaves out what the hub adds, such as $version and $metadata.
func withoutHubs(properties map[string]any) map[string]any {
	own := withoutNulls(properties)
	for name := range own {
		if strings.HasPrefix(name, "$") {
			delete(own, name)
		}
	}
	return own
}

// wholeNumber is a number of JSON that counts something.
func wholeNumber(v any) (int64, bool) {
	f, ok := v.(float64)
	if !ok || f < 0 || f > maxTwinInteger || f != math.Trunc(f) {
		return 0, false
	}
	return int64(f), true
}

// twinFault is the hub's word on a request that it refuses, for the log.
func twinFault(m twinMessage) string {
	var fault struct {
		ErrorCode int    `json:"errorCode"`
		Message   string `json:"message"`
	}
	if json.Unmarshal(m.body, &fault) == nil && fault.Message != "" {
		return fmt.Sprintf("status %d, %d: %.200s", m.status, fault.ErrorCode, fault.Message)
	}
	return fmt.Sprintf("status %d %.200q", m.status, bytes.TrimSpace(m.body))
}
