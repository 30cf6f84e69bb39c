package uplink

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fieldpost/fieldpost/gateway"
)

// Limits of a command, as IoT Hub has them.
const (
	MaxCommandBytes   = 64 << 10
	MaxCommandIDBytes = 128
)

// CommandBody is the JSON form of a command.
type CommandBody struct {
	ID, Device, Action, Expires, ReplyTo string
	Args                                 map[string]any
}

// ParseCommandBody reads {"device":"…","action":"…","args":{…}} and, if they
// are named in extra, "id", "expires" and "reply_to". It is strict, since things move on
// its word: unknown or repeated keys, values that are no boolean, number or
// string, and anything behind the object are errors that wrap
// gateway.ErrInvalid.
func ParseCommandBody(body []byte, extra ...string) (CommandBody, error) {
	var c CommandBody
	if err := c.parse(body, extra); err != nil {
		return CommandBody{}, fmt.Errorf("%w: %w", err, gateway.ErrInvalid)
	}
	return c, nil
}

func (c *CommandBody) parse(body []byte, extra []string) error {
	err := whole(body, func(d *json.Decoder) error {
		return object(d, "command", func(key string) error { return c.field(d, key, extra) })
	})
	if err != nil {
		return err
	}
	if c.Device == "" || c.Action == "" {
		return errors.New(`a command needs "device" and "action"`)
	}
	return nil
}

func (c *CommandBody) field(d *json.Decoder, key string, extra []string) error {
	texts := map[string]*string{"device": &c.Device, "action": &c.Action}
	for name, target := range map[string]*string{"id": &c.ID, "expires": &c.Expires, "reply_to": &c.ReplyTo} {
		if slices.Contains(extra, name) {
			texts[name] = target
		}
	}
	if target, ok := texts[key]; ok {
		return text(d, key, target)
	}
	if key != "args" {
		return fmt.Errorf("unknown key %.40q, allowed: device, action, args%s", key, strings.Join(append([]string{""}, extra...), ", "))
	}
	return c.args(d)
}

func (c *CommandBody) args(d *json.Decoder) error {
	c.Args = map[string]any{}
	return object(d, "args", func(name string) error {
		v, err := scalar(d)
		if err != nil {
			return fmt.Errorf("args: %.40q: %w", name, err)
		}
		c.Args[name] = v
		return nil
	})
}

// ParseArgs reads the arguments of a command that is named elsewhere: a JSON
// object under the rules of ParseCommandBody. null and nothing are no arguments.
func ParseArgs(body []byte) (map[string]any, error) {
	if trimmed := bytes.TrimSpace(body); len(trimmed) == 0 || string(trimmed) == "null" {
		return nil, nil
	}
	var c CommandBody
	if err := whole(body, c.args); err != nil {
		return nil, fmt.Errorf("%w: %w", err, gateway.ErrInvalid)
	}
	return c.Args, nil
}

// whole reads a body that is one JSON object and nothing else.
func whole(body []byte, read func(*json.Decoder) error) error {
	switch {
	case len(body) > MaxCommandBytes:
		return fmt.Errorf("command of %d bytes, at most %d are allowed", len(body), MaxCommandBytes)
	case !utf8.Valid(body):
		return errors.New("command is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if err := read(d); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is something behind the JSON object")
	}
	return nil
}

// object reads { "key": … }; field must consume the value of its key.
func object(d *json.Decoder, what string, field func(key string) error) error {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("%s is not a JSON object", what)
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("%s: malformed JSON: %w", what, err)
		}
		key, _ := t.(string) // keys always are
		if seen[key] {
			return fmt.Errorf("%s: key %.40q twice", what, key)
		}
		seen[key] = true
		if err := field(key); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("%s: malformed JSON: %w", what, err)
	}
	return nil
}

func text(d *json.Decoder, key string, target *string) error {
	v, err := scalar(d)
	s, ok := v.(string)
	if err != nil || !ok {
		return fmt.Errorf("%q must be a string", key)
	}
	*target = s
	return nil
}

// scalar reads a boolean, number or string.
func scalar(d *json.Decoder) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("malformed JSON: %w", err)
	}
	switch v := t.(type) {
	case bool, string:
		return v, nil
	case float64:
		if !math.IsInf(v, 0) {
			return v, nil
		}
	}
	return nil, errors.New("only true, false, numbers and strings are allowed")
}

// CheckCommandID refuses ids that could not travel back in an answer.
func CheckCommandID(id string) error {
	if id == "" || len(id) > MaxCommandIDBytes || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
		return fmt.Errorf("command id %.40q: want 1 to %d bytes of printable text: %w", id, MaxCommandIDBytes, gateway.ErrInvalid)
	}
	return nil
}

// HashID names a command that came without an id by what it says, so that a
// redelivery is recognised.
func HashID(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write(p)
	}
	return "sha256-" + hex.EncodeToString(h.Sum(nil))[:32]
}
