package hubsim

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// event is a message of a device as the hub has received it.
type event struct {
	device   string
	enqueued time.Time
	// system holds what the device has said by $. properties, under the names
	// of the hub's documentation, and stamps what the hub adds, as JSON pairs
	// in front of which a comma stands.
	system     []property
	stamps     []byte
	properties []property
	body       []byte
}

// systemNames are the names under which back ends see system properties.
var systemNames = map[string]string{
	"$.mid": "message-id", "$.cid": "correlation-id", "$.uid": "user-id",
	"$.ct": "content-type", "$.ce": "content-encoding", "$.ctime": "creation-time",
	"$.to": "to", "$.exp": "absolute-expiry-time", "$.on": "output-name",
	"$.sub": "dt-subject", "$.ifid": "iothub-interface-id",
	"$.cdid": "connection-device-id", "$.cmid": "connection-module-id",
}

// appendLine adds the event to dst as one line of JSON:
//
//	{"offset":1,"device":"gw","enqueued":"…","system":{…},"properties":{…},"body":…}
//
// A body whose content type is JSON, and which is valid JSON, stands as it is;
// other text is a string; anything else is bodyBase64.
func (e *event) appendLine(dst []byte, offset int64) []byte {
	dst = append(dst, `{"offset":`...)
	dst = strconv.AppendInt(dst, offset, 10)
	dst = append(dst, `,"device":`...)
	dst = appendString(dst, e.device)
	enqueued := e.enqueued.UTC().AppendFormat(nil, `"2006-01-02T15:04:05.000Z"`)
	dst = append(append(dst, `,"enqueued":`...), enqueued...)
	dst = append(dst, `,"system":{"iothub-enqueuedtime":`...)
	dst = append(append(dst, enqueued...), e.stamps...)
	for _, p := range e.system {
		dst = appendPair(append(dst, ','), p)
	}
	dst = append(dst, `},"properties":{`...)
	for i, p := range e.properties {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendPair(dst, p)
	}
	return append(e.appendBody(append(dst, '}')), "}\n"...)
}

func (e *event) appendBody(dst []byte) []byte {
	switch {
	case isJSON(value(e.system, "content-type")) && utf8.Valid(e.body) && json.Valid(e.body):
		dst = append(dst, `,"body":`...)
		if bytes.ContainsAny(e.body, "\r\n") { // white space between tokens
			compact := bytes.NewBuffer(dst)
			_ = json.Compact(compact, e.body) // it is valid
			return compact.Bytes()
		}
		return append(dst, e.body...)
	case utf8.Valid(e.body):
		return appendString(append(dst, `,"body":`...), string(e.body))
	default:
		dst = append(dst, `,"bodyBase64":"`...)
		return append(base64.StdEncoding.AppendEncode(dst, e.body), '"')
	}
}

func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/json" || strings.HasSuffix(t, "+json"))
}

func value(bag []property, name string) string {
	for _, p := range bag {
		if p.name == name {
			return p.value
		}
	}
	return ""
}

func appendPair(dst []byte, p property) []byte {
	return appendString(append(appendString(dst, p.name), ':'), p.value)
}

// appendString adds a JSON string. Nearly all are plain ASCII.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string cannot fail
			return append(dst, quoted...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

// line is an event as the record gives it back.
type line struct {
	Offset     int64             `json:"offset"`
	Device     string            `json:"device"`
	Properties map[string]string `json:"properties"`
	Body       json.RawMessage   `json:"body"`
}

func parseLine(data []byte) (line, error) {
	var l line
	if err := json.Unmarshal(data, &l); err != nil {
		return l, fmt.Errorf("no record of a message: %w", err)
	}
	return l, nil
}

// payload is the body as the device has sent it, unless it was binary.
func (l line) payload() []byte {
	var text string
	if json.Unmarshal(l.Body, &text) == nil {
		return []byte(text)
	}
	return l.Body
}
