package hubsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// document is a JSON object in a twin: its tags, its desired or its reported
// properties. Numbers are json.Number, in the spelling in which they came. A
// document that is part of a twin is never changed.
type document map[string]any

// The limits of documents, from "Understand and use device twins in IoT Hub".
const (
	maxPropertyBytes = 32 << 10 // of desired, and of reported properties
	maxTagBytes      = 8 << 10
	maxKeyBytes      = 1 << 10
	maxStringBytes   = 4 << 10
	maxDepth         = 10 // of objects in the document
	minInteger       = -1 << 52
	maxInteger       = 1<<52 - 1
)

// parseDocument reads a JSON object and checks it, but not its size, which
// depends on the document that it is to be merged into. The keys in ignore may
// stand in it, and are left out.
func parseDocument(data []byte, ignore ...string) (document, error) {
	in := json.NewDecoder(bytes.NewReader(data))
	in.UseNumber()
	var d document
	if err := in.Decode(&d); err != nil {
		return nil, fmt.Errorf("want a JSON object: %w", err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("want a JSON object and nothing behind it")
	}
	if d == nil {
		return nil, errors.New("want a JSON object, not null")
	}
	for _, key := range ignore {
		delete(d, key)
	}
	return d, d.check(0)
}

func (d document) check(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("objects are nested deeper than %d", maxDepth)
	}
	for key, value := range d {
		if err := checkKey(key); err != nil {
			return err
		}
		if value == nil { // takes the key away
			continue
		}
		if err := checkValue(value, depth); err != nil {
			return fmt.Errorf("%.80s: %w", key, err)
		}
	}
	return nil
}

func checkKey(key string) error {
	bad := func(r rune) bool { return unicode.IsControl(r) || strings.ContainsRune(".$ ", r) }
	switch {
	case key == "":
		return errors.New("a key is empty")
	case len(key) > maxKeyBytes:
		return fmt.Errorf("key %.40q… has %d bytes, the limit is %d", key, len(key), maxKeyBytes)
	case strings.ContainsFunc(key, bad):
		return fmt.Errorf("key %.80q: control characters, space, . and $ are not allowed", key)
	}
	return nil
}

func checkValue(value any, depth int) error {
	switch v := value.(type) {
	case map[string]any:
		return document(v).check(depth + 1)
	case []any:
		if depth+1 > maxDepth {
			return fmt.Errorf("arrays are nested deeper than %d", maxDepth)
		}
		for _, element := range v {
			if err := checkValue(element, depth+1); err != nil {
				return err
			}
		}
	case string:
		if len(v) > maxStringBytes {
			return fmt.Errorf("a string of %d bytes, the limit is %d", len(v), maxStringBytes)
		}
	case json.Number:
		return checkNumber(string(v))
	case nil:
		return errors.New("null is not allowed in an array")
	}
	return nil
}

func checkNumber(s string) error {
	if strings.ContainsAny(s, ".eE") {
		if f, err := strconv.ParseFloat(s, 64); err != nil || math.IsInf(f, 0) {
			return fmt.Errorf("number %.40s is too large", s)
		}
		return nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err != nil || n < minInteger || n > maxInteger {
		return fmt.Errorf("integer %.40s is not allowed, want %d to %d; send larger ones as strings", s, int64(minInteger), int64(maxInteger))
	}
	return nil
}

// merge returns d with a patch in it: objects are merged, null takes a key
// away, everything else replaces what was there (RFC 7396).
func (d document) merge(patch document) document {
	merged := maps.Clone(d)
	if merged == nil {
		merged = document{}
	}
	for key, value := range patch {
		switch v := value.(type) {
		case nil:
			delete(merged, key)
		case map[string]any:
			below, _ := merged[key].(map[string]any)
			merged[key] = map[string]any(document(below).merge(v))
		default:
			merged[key] = value
		}
	}
	return merged
}

// size counts as the documentation says: keys and strings by their bytes
// without control characters, numbers as 8, truth values as 4.
func (d document) size() (n int) {
	for key, value := range d {
		n += textSize(key) + valueSize(value)
	}
	return n
}

func valueSize(value any) (n int) {
	switch v := value.(type) {
	case map[string]any:
		return document(v).size()
	case []any:
		for _, element := range v {
			n += valueSize(element)
		}
		return n
	case string:
		return textSize(v)
	case bool:
		return 4
	default:
		return 8
	}
}

func textSize(s string) int {
	n := len(s)
	for _, r := range s {
		if unicode.IsControl(r) {
			n -= utf8.RuneLen(r)
		}
	}
	return n
}
