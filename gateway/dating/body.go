package dating

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// body is the body of a message that was made before the time was known.
type body struct {
	text  []byte
	boot  string
	label place // where its boot stands, with the comma behind
	times []undated
}

// place is a part of a text.
type place struct{ begin, end int }

// undated is a time that is not one of the day yet.
type undated struct {
	place
	uptime time.Duration
}

// heads are what such bodies begin with: those of readings, alerts and events, and those of
// results and gap records.
var heads = []string{`{"v":1,"boot":"`, `{"boot":"`}

// What a body may grow by as it is dated: once, and with each time in it.
const (
	LabelRoom = len(`"boot":"01234567-89ab-cdef-0123-456789abcdef","time_to":"` + timeLayout + `",`)
	TimeRoom  = len(`,"time_estimated":true,"uptime":-630720000.000`)
)

// Label is the member that a body has first, behind its version, if it has something
// undated; empty if there is no boot.
func Label(boot string) string {
	if boot == "" {
		return ""
	}
	return `"boot":"` + boot + `",`
}

// parse takes a body apart, if it is one.
func parse(text []byte) (b body, ok bool) {
	for _, head := range heads {
		if rest, found := bytes.CutPrefix(text, []byte(head)); found {
			boot, rest, found := bytes.Cut(rest, []byte(`",`))
			b = body{text: text, boot: string(boot), label: place{len(head) - len(`"boot":"`), len(text) - len(rest)}}
			plain := !strings.Contains(b.boot, `\`) // else it goes on behind the quote
			return b, found && plain && b.look() == nil
		}
	}
	return body{}, false
}

// look finds the times. What devices have said is passed over: none of it is a time of
// the gateway's.
func (b *body) look() error { return walker{json.NewDecoder(bytes.NewReader(b.text)), b}.inside() }

type walker struct {
	*json.Decoder
	body *body
}

var errForm = errors.New("not what the gateway writes")

// inside goes through an object or an array.
func (w walker) inside() error {
	open, err := w.Token()
	if _, ok := open.(json.Delim); !ok {
		return errors.Join(err, errForm)
	}
	for w.More() {
		if open == json.Delim('[') {
			err = w.inside()
		} else {
			err = w.member()
		}
		if err != nil {
			return err
		}
	}
	_, err = w.Token()
	return err
}

func (w walker) member() error {
	key, err := w.Token()
	if err != nil {
		return err
	}
	switch key {
	case "readings", "alert", "event":
		return w.inside()
	case "time", "finished":
		return w.time()
	}
	return w.Decode(new(json.RawMessage))
}

func (w walker) time() error {
	var value json.RawMessage
	if err := w.Decode(&value); err != nil {
		return err
	}
	t, err := time.Parse(`"`+time.RFC3339+`"`, string(value))
	if uptime, is := gateway.Uptime(t); err == nil && is {
		end := int(w.InputOffset())
		w.body.times = append(w.body.times, undated{place{end - len(value), end}, uptime})
	}
	return nil
}

// timeLayout is RFC 3339 in UTC with milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z"

// dated is the body with times of day.
func (b *body) dated(start Start) []byte {
	known := !start.At.IsZero()
	var text bytes.Buffer
	text.Write(b.text[:b.label.begin])
	if !known {
		text.Write(b.text[b.label.begin:b.label.end])
		if !start.Before.IsZero() {
			fmt.Fprintf(&text, `"time_to":"%s",`, start.Before.UTC().Format(timeLayout))
		}
	}
	done := b.label.end
	for _, t := range b.times {
		text.Write(b.text[done:t.begin])
		if known {
			fmt.Fprintf(&text, `"%s"`, start.At.Add(t.uptime).UTC().Format(timeLayout))
		} else {
			fmt.Fprintf(&text, `"%s","time_estimated":true,"uptime":%.3f`, start.earliest(t.uptime).UTC().Format(timeLayout), t.uptime.Seconds())
		}
		done = t.end
	}
	text.Write(b.text[done:])
	return text.Bytes()
}

// earliest is the first time that a moment of the boot can have been.
func (s Start) earliest(uptime time.Duration) time.Time {
	after := s.After
	if after.IsZero() {
		after = time.Unix(0, 0)
	}
	t := after.Add(uptime)
	if !s.Before.IsZero() && t.After(s.Before) {
		return s.Before
	}
	return t
}
