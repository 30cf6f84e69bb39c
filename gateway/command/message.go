package command

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// maxResultBytes bounds the JSON form of a result, so that it always fits
	// into a message.
	maxResultBytes = 64 << 10
	// maxDetailBytes bounds the reason in a result.
	maxDetailBytes = 2 << 10
	// maxRawBytes bounds what is kept of input that is not a command.
	maxRawBytes = 16 << 10

	contentType = "application/json"
)

// sanitize makes a result that has a JSON form and fits into a message, and does not
// end by saying its status once more. What a device reports back is only dropped if it
// has to be.
func sanitize(r gateway.Result) gateway.Result {
	r.Detail = cut(strings.TrimSuffix(r.Detail, ": "+string(r.Status)), maxDetailBytes)
	data, err := json.Marshal(r)
	switch {
	case err != nil:
		r.Values = nil
		r.Detail = cut(strings.TrimPrefix(r.Detail+"; the device's values have no JSON form: "+err.Error(), "; "), maxDetailBytes)
	case len(data) > maxResultBytes:
		r.Values = nil
		r.Detail = cut(strings.TrimPrefix(r.Detail+fmt.Sprintf("; the device's values are left out, they take %d bytes", len(data)), "; "), maxDetailBytes)
	}
	return r
}

// resultMessage reports a result that has been sanitized.
func resultMessage(r gateway.Result, lane gateway.Lane, now time.Time) gateway.Message {
	r = unscoped(r)
	if _, undated := gateway.Uptime(now); undated {
		now = r.Finished // of the boot that the result names, which may be an earlier one
	}
	body, _ := json.Marshal(r) // sanitize has tried
	return gateway.Message{
		ID: gateway.MessageID{Lane: lane}, Kind: gateway.KindResult,
		Created: now.UTC(), CorrelationID: r.CommandID, ContentType: contentType, Body: body,
	}
}

// refusal is the body of the dead letter for input that is not a command.
type refusal struct {
	Reason   string         `json:"reason"`
	Origin   gateway.Origin `json:"origin"`
	Received time.Time      `json:"received"`
	// Text is the input if it is UTF-8, Base64 if it is not.
	Text   string `json:"text,omitempty"`
	Base64 []byte `json:"base64,omitempty"`
	// Bytes is the size of the whole input; only its beginning is kept if that
	// is over 16 KiB.
	Bytes int `json:"bytes"`
}

func deadLetter(id string, origin gateway.Origin, raw []byte, reason string, now time.Time) gateway.Message {
	r := refusal{Reason: reason, Origin: origin, Received: now.UTC(), Bytes: len(raw)}
	if utf8.Valid(raw) {
		r.Text = cut(string(raw), maxRawBytes)
	} else {
		r.Base64 = raw[:min(len(raw), maxRawBytes)]
	}
	body, _ := json.Marshal(r) // strings, bytes and a time of today always encode
	return gateway.Message{
		ID: gateway.MessageID{Lane: gateway.LaneDeadLetter}, Kind: gateway.KindDeadLetter,
		Created: now.UTC(), CorrelationID: id, ContentType: contentType, Body: body,
	}
}

// cut shortens s to at most limit bytes, and never within a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// safeID is what of an id can travel back in an answer.
func safeID(id string) string {
	clean := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, id)
	return cut(clean, MaxIDBytes)
}
