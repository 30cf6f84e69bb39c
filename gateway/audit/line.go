package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strconv"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

// maxSeq is beyond every real sequence number, and so far from the end of the
// numbers that one can be added without a thought.
const maxSeq = 1 << 62

// entry is what the audit takes from a line.
type entry struct {
	id     gateway.MessageID
	device string
	kind   gateway.Kind
	// estimated: times in the body are estimated, so that another copy may know better.
	estimated bool
	// content is the body in a form that does not depend on who has written it
	// down: JSON without white space between its tokens, or the bytes.
	content []byte
}

// line is one message as a receiver has stored it. The forms differ in where
// they keep what: an export of the queue and the envelope of a plain broker say
// all at the top, events of a hub have system and application properties.
// Names are matched whatever their case.
type line struct {
	ID          string       `json:"id"`
	Store       string       `json:"store"`
	Lane        string       `json:"lane"`
	Seq         number       `json:"seq"`
	Kind        gateway.Kind `json:"kind"`
	ContentType string       `json:"content_type"`

	Device string `json:"device"`
	System struct {
		MessageID   string `json:"message-id"`
		ContentType string `json:"content-type"`
	} `json:"system"`
	// SystemProperties is the same as IoT Hub writes it to a storage account.
	SystemProperties struct {
		MessageID   string `json:"messageId"`
		ContentType string `json:"contentType"`
		Device      string `json:"connectionDeviceId"`
	} `json:"systemProperties"`
	Properties struct {
		Store string       `json:"store"`
		Lane  string       `json:"lane"`
		Seq   number       `json:"seq"`
		Kind  gateway.Kind `json:"kind"`
	} `json:"properties"`

	Body       json.RawMessage `json:"body"`
	BodyBase64 *[]byte         `json:"bodyBase64"`
	// Base64 is the spelling of the envelope.
	Base64 *[]byte `json:"body_base64"`
}

// number is a sequence number; as a property it is a text.
type number uint64

func (n *number) UnmarshalJSON(data []byte) error {
	text := strings.Trim(string(data), `"`)
	if text == "" || text == "null" {
		return nil
	}
	seq, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return fmt.Errorf("seq %.40s: want a whole number from 1", data)
	}
	*n = number(seq)
	return nil
}

func parse(data []byte) (entry, error) {
	var l line
	if err := json.Unmarshal(data, &l); err != nil {
		return entry{}, fmt.Errorf("not a message as JSON: %w", err)
	}
	id, err := l.identity()
	if err != nil {
		return entry{}, err
	}
	content, err := l.content()
	if err != nil {
		return entry{}, fmt.Errorf("message %s: %w", id, err)
	}
	return entry{
		id: id, content: content, estimated: isEstimated(content),
		device: first(l.Device, l.SystemProperties.Device),
		kind:   first(l.Kind, l.Properties.Kind),
	}, nil
}

// isEstimated tells a body by the boot that stands first in it.
func isEstimated(content []byte) bool {
	return bytes.HasPrefix(content, []byte(`{"v":1,"boot":`)) || bytes.HasPrefix(content, []byte(`{"boot":`))
}

// first is the first value that is given.
func first[T ~string](values ...T) T {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// identity is the id of the message; all places that name one must agree.
func (l *line) identity() (id gateway.MessageID, err error) {
	parts := []gateway.MessageID{
		{Store: l.Properties.Store, Lane: gateway.Lane(l.Properties.Lane), Seq: uint64(l.Properties.Seq)},
		{Store: l.Store, Lane: gateway.Lane(l.Lane), Seq: uint64(l.Seq)},
	}
	for _, text := range []string{l.ID, l.System.MessageID, l.SystemProperties.MessageID} {
		if text == "" {
			continue
		}
		part, err := gateway.ParseMessageID(text)
		if err != nil {
			return id, err
		}
		parts = append(parts, part)
	}
	for _, part := range parts {
		switch {
		case part == gateway.MessageID{}:
		case part.Store == "" || strings.Contains(part.Store, "-") || len(part.Store) > 64 || !gateway.ValidLane(string(part.Lane)) || part.Seq == 0 || part.Seq > maxSeq:
			return id, fmt.Errorf("store %.80q, lane %.80q, seq %d: want all three, as the gateway has written them", part.Store, part.Lane, part.Seq)
		case id != gateway.MessageID{} && id != part:
			return id, fmt.Errorf("it says that it is message %s and also %s", id, part)
		default:
			id = part
		}
	}
	if id == (gateway.MessageID{}) {
		return id, errors.New("there is no message id, and no properties store, lane and seq")
	}
	return id, nil
}

func (l *line) content() ([]byte, error) {
	switch {
	case l.BodyBase64 != nil:
		return *l.BodyBase64, nil
	case l.Base64 != nil:
		return *l.Base64, nil
	case len(l.Body) == 0:
		return nil, nil
	}
	contentType := first(l.ContentType, l.System.ContentType, l.SystemProperties.ContentType)
	if l.Body[0] == '"' && contentType != "" && !isJSON(contentType) {
		var text string
		if err := json.Unmarshal(l.Body, &text); err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
		return []byte(text), nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, l.Body); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return b.Bytes(), nil
}

func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/json" || strings.HasSuffix(t, "+json"))
}

// gap reads a gap record.
func (e *entry) gap() (gateway.Gap, error) {
	var g gateway.Gap
	if err := json.Unmarshal(e.content, &g); err != nil {
		return g, fmt.Errorf("gap record %s: %w", e.id, err)
	}
	if g.Device != "" { // it is about readings, not messages
		return g, nil
	}
	if err := checkGap(g); err != nil {
		return g, fmt.Errorf("gap record %s: %w", e.id, err)
	}
	return g, nil
}

func checkGap(g gateway.Gap) error {
	if g.Store == "" || !gateway.ValidLane(string(g.Lane)) || g.First == 0 || g.Last < g.First || g.Last > maxSeq {
		return fmt.Errorf("store %.80q, lane %.80q, %d to %d: want store, lane, and 1 <= first <= last", g.Store, g.Lane, g.First, g.Last)
	}
	return nil
}
