package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fieldpost/fieldpost/gateway"
)

// Bounds of a reading; those of the pipeline are no narrower.
const (
	// maxReadings of one line bounds how much filling in times and devices adds
	// to it: hubs take 256 KiB a message.
	maxReadings  = 100
	maxTextBytes = 16 << 10
	maxUnitBytes = 32
)

var (
	nameShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	unitShape = regexp.MustCompile(`^[!-~]+$`)
)

const wantName = "want up to 63 letters, digits, dots, underscores and hyphens"

// Keys of the two forms of a line.
var (
	readingKeys = []string{"name", "value", "unit", "time", "device", "quality"}
	lineKeys    = append([]string{"readings"}, readingKeys...)
)

// parseLine reads one line: a reading, or {"readings":[…]}. It is strict, since
// a misspelt key is a value that nobody will ever see.
func parseLine(text []byte) ([]gateway.Reading, error) {
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return nil, errors.New(`it is empty; want {"name":"…","value":…}`)
	case !utf8.Valid(text):
		return nil, errors.New("it is not UTF-8")
	}
	p := parser{json.NewDecoder(bytes.NewReader(text))}
	p.UseNumber()
	readings, err := p.line()
	if err != nil {
		return nil, err
	}
	if _, err := p.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something behind the JSON object; want one object a line")
	}
	return readings, nil
}

// parser reads the JSON of one line by its tokens: unlike Unmarshal it sees
// repeated keys, and never takes "Name" for "name".
type parser struct{ *json.Decoder }

func (p parser) line() ([]gateway.Reading, error) {
	var single gateway.Reading
	var several []gateway.Reading
	seen, err := p.object(lineKeys, func(key string) (err error) {
		if key == "readings" {
			several, err = p.list()
			return err
		}
		return p.field(&single, key)
	})
	switch {
	case err != nil:
		return nil, err
	case several == nil:
		return []gateway.Reading{single}, complete(seen)
	case len(seen) > 1:
		return nil, errors.New(`"readings" stands alone; put the other keys into each reading`)
	}
	return several, nil
}

func (p parser) list() ([]gateway.Reading, error) {
	if t, err := p.token(); err != nil || t != json.Delim('[') {
		return nil, orElse(err, "want a list of readings")
	}
	var all []gateway.Reading
	for p.More() {
		if len(all) == maxReadings {
			return nil, fmt.Errorf("want at most %d readings; send the others in a line of their own", maxReadings)
		}
		var r gateway.Reading
		seen, err := p.object(readingKeys, func(key string) error { return p.field(&r, key) })
		if err == nil {
			err = complete(seen)
		}
		if err != nil {
			return nil, fmt.Errorf("reading %d: %w", len(all)+1, err)
		}
		all = append(all, r)
	}
	if _, err := p.token(); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("want at least one reading")
	}
	return all, nil
}

// complete checks that a reading has what it needs.
func complete(seen []string) error {
	for _, key := range []string{"name", "value"} {
		if !slices.Contains(seen, key) {
			return fmt.Errorf(`%q is missing; want {"name":"…","value":…}`, key)
		}
	}
	return nil
}

// object reads { "key": … } and returns the keys; field must consume the value.
func (p parser) object(known []string, field func(key string) error) (seen []string, err error) {
	if t, err := p.token(); err != nil || t != json.Delim('{') {
		return nil, orElse(err, `want a JSON object: {"name":"…","value":…}`)
	}
	for p.More() {
		t, err := p.token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string) // keys always are
		switch {
		case !slices.Contains(known, key):
			return nil, fmt.Errorf("unknown key %.40q; want %s", key, strings.Join(readingKeys, ", "))
		case slices.Contains(seen, key):
			return nil, fmt.Errorf("key %q twice", key)
		}
		seen = append(seen, key)
		if err := field(key); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	_, err = p.token()
	return seen, err
}

// field reads the value behind one key of a reading.
func (p parser) field(r *gateway.Reading, key string) error {
	t, err := p.token()
	if err != nil {
		return err
	}
	if key == "value" {
		r.Value, err = value(t)
		return err
	}
	s, ok := t.(string)
	if !ok {
		return fmt.Errorf("want a text, not %s", kind(t))
	}
	switch key {
	case "name":
		r.Name = s
		return matches(s, nameShape, wantName)
	case "device":
		r.Device = gateway.DeviceID(s)
		return matches(s, nameShape, wantName)
	case "unit":
		r.Unit = s
		if s == "" || len(s) <= maxUnitBytes && unitShape.MatchString(s) {
			return nil
		}
		return fmt.Errorf("%.40q is no unit; want a UCUM code such as Cel, %%, %%RH, m/s, By", s)
	case "quality":
		r.Quality = gateway.Quality(s)
		return quality(r.Quality)
	default:
		r.Time, err = moment(s)
		return err
	}
}

func matches(s string, shape *regexp.Regexp, want string) error {
	if shape.MatchString(s) {
		return nil
	}
	return fmt.Errorf("%.80q is not allowed; %s", s, want)
}

func quality(q gateway.Quality) error {
	if q == gateway.Good || q == gateway.Uncertain || q == gateway.Bad {
		return nil
	}
	return fmt.Errorf("%.40q is not allowed; want good, uncertain or bad", q)
}

// moment reads a time. Before 1970 and after 9999 nobody has measured anything.
func moment(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.40q is no time; want RFC 3339, such as 2026-11-24T12:00:00Z", s)
	}
	if y := t.UTC().Year(); y < 1970 || y > 9999 {
		return time.Time{}, fmt.Errorf("%.40q is out of range; want 1970 to 9999", s)
	}
	return t, nil
}

func value(t json.Token) (gateway.Value, error) {
	switch t := t.(type) {
	case bool:
		return gateway.Bool(t), nil
	case json.Number:
		f, err := strconv.ParseFloat(string(t), 64)
		if err != nil {
			return gateway.Value{}, fmt.Errorf("%.40s is beyond what a number can be", t)
		}
		return gateway.Number(f), nil
	case string:
		if len(t) > maxTextBytes {
			return gateway.Value{}, fmt.Errorf("text of %d bytes; at most %d are allowed", len(t), maxTextBytes)
		}
		return gateway.Text(t), nil
	default:
		return gateway.Value{}, fmt.Errorf("want a number, true, false or a text, not %s", kind(t))
	}
}

// kind names a token that is not wanted.
func kind(t json.Token) string {
	switch t := t.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(t)
	case json.Number:
		return "a number"
	case string:
		return "a text"
	case json.Delim:
		if t == '{' {
			return "an object"
		}
		return "a list"
	default:
		return fmt.Sprintf("%T", t)
	}
}

// token is the next token; its error says where the JSON is broken.
func (p parser) token() (json.Token, error) {
	t, err := p.Token()
	switch {
	case err == nil:
		return t, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("malformed JSON: it ends in the middle")
	default:
		return nil, fmt.Errorf("malformed JSON at byte %d: %w", p.InputOffset()+1, err)
	}
}

// orElse is err, or an error with the words if there is none.
func orElse(err error, words string) error {
	if err != nil {
		return err
	}
	return errors.New(words)
}
