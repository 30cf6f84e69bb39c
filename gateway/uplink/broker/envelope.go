package broker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

type envelope struct {
	ID          string          `json:"id"`
	Store       string          `json:"store"`
	Lane        gateway.Lane    `json:"lane"`
	Seq         uint64          `json:"seq"`
	Kind        gateway.Kind    `json:"kind"`
	Created     time.Time       `json:"created,omitzero"`
	Correlation string          `json:"correlation,omitempty"`
	Body        json.RawMessage `json:"body,omitempty"`
	ContentType string          `json:"content_type,omitempty"`
	BodyBase64  []byte          `json:"body_base64,omitempty"`
}

// encode puts a message in its envelope.
func encode(m gateway.Message) ([]byte, error) {
	e := envelope{
		ID: m.ID.String(), Store: m.ID.Store, Lane: m.ID.Lane, Seq: m.ID.Seq,
		Kind: m.Kind, Created: m.Created.UTC(), Correlation: m.CorrelationID,
	}
	if isJSON(m.ContentType) && json.Valid(m.Body) {
		e.Body = m.Body
	} else {
		e.ContentType, e.BodyBase64 = m.ContentType, m.Body
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		return nil, fmt.Errorf("message %s: %w: %w", m.ID, err, gateway.ErrInvalid)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/json" || strings.HasSuffix(t, "+json"))
}
