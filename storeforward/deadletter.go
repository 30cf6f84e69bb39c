package storeforward

import (
	"bytes"
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/fieldpost/fieldpost/gateway"
)

// deadLetterBody is a message that could not be sent, kept so that it can be
// sent again by hand.
type deadLetterBody struct {
	ID          string          `json:"id"`
	Reason      string          `json:"reason"`
	Kind        gateway.Kind    `json:"kind"`
	Created     time.Time       `json:"created"`
	Correlation string          `json:"correlation,omitempty"`
	ContentType string          `json:"content_type"`
	Body        json.RawMessage `json:"body,omitempty"`
	Text        string          `json:"text,omitempty"`
	Base64      []byte          `json:"base64,omitempty"`
	// Bytes is the size of the whole body if only its beginning is kept: text
	// and bytes take more room in JSON than they had.
	Bytes int `json:"bytes,omitempty"`
}

// maxLetterText is how much of a body that is not JSON a dead letter keeps; in
// the worst form of JSON it takes six times as much.
const maxLetterText = 40 << 10

func deadLetter(id gateway.MessageID, m gateway.Message, reason string) gateway.Message {
	b := deadLetterBody{
		ID: id.String(), Reason: cut(reason, 1000), Kind: m.Kind, Created: m.Created,
		Correlation: m.CorrelationID, ContentType: m.ContentType,
	}
	switch {
	case json.Valid(m.Body):
		b.Body = m.Body
	case utf8.Valid(m.Body):
		b.Text = cut(string(m.Body), maxLetterText)
	default:
		b.Base64 = m.Body[:min(len(m.Body), maxLetterText)]
	}
	if len(m.Body) > maxLetterText && b.Body == nil {
		b.Bytes = len(m.Body)
	}
	// A body that is JSON stays as it is: the escapes for HTML would make it six
	// times as large, and the letter too large to be kept.
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	_ = e.Encode(b) // valid by construction
	return gateway.Message{
		ID: gateway.MessageID{Lane: gateway.LaneDeadLetter}, Kind: gateway.KindDeadLetter,
		Created: m.Created, CorrelationID: id.String(), ContentType: "application/json", Body: bytes.TrimSpace(body.Bytes()),
	}
}
