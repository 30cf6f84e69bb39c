package storeforward

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/fieldpost/fieldpost/gateway"
)

// deadLetterBody is a message that could not be sent, kept whole so that it
// can be sent again by hand.
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
}

func deadLetter(id gateway.MessageID, m gateway.Message, reason string) gateway.Message {
	b := deadLetterBody{
		ID: id.String(), Reason: reason, Kind: m.Kind, Created: m.Created,
		Correlation: m.CorrelationID, ContentType: m.ContentType,
	}
	switch {
	case json.Valid(m.Body):
		b.Body = m.Body
	case utf8.Valid(m.Body):
		b.Text = string(m.Body)
	default:
		b.Base64 = m.Body
	}
	body, _ := json.Marshal(b) // valid by construction
	return gateway.Message{
		ID: gateway.MessageID{Lane: gateway.LaneDeadLetter}, Kind: gateway.KindDeadLetter,
		Created: m.Created, CorrelationID: id.String(), ContentType: "application/json", Body: body,
	}
}
