package probe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
)

// What can be heard on a port.
const (
	Silence = "silence"
	NMEA    = "nmea"
	JSON    = "json"
	Text    = "text"
	// Bridge is a microcontroller that speaks the link of firmware-bridge.
	Bridge = "microcontroller"
	// Noise is what makes no sense at any rate that was tried.
	Noise = "noise"
)

// Heard is what came from a port.
type Heard struct {
	// Kind is one of the constants.
	Kind string `json:"kind"`
	// Baud is the rate at which it made sense.
	Baud int `json:"baud,omitempty"`
	// Example is a line of it.
	Example string `json:"example,omitempty"`
	// Driver that is for it.
	Driver string `json:"driver,omitempty"`
}

// maxExample bounds what is shown of a line, in characters.
const maxExample = 120

// classify finds out what bytes are, by the lines that came whole. Text at a wrong
// rate can have a line that looks right, so all of it must be text; sentences and
// objects prove themselves.
func classify(data []byte) Heard {
	if len(data) == 0 {
		return Heard{Kind: Silence}
	}
	if hello, is := greeting(data); is {
		return Heard{Kind: Bridge, Driver: "mcu", Example: fmt.Sprintf("%v, last reset: %v", hello.Role, hello.Cause)}
	}
	first := make(map[string]Heard)
	for _, line := range whole(data) {
		h := classifyLine(line)
		if _, seen := first[h.Kind]; !seen {
			first[h.Kind] = h
		}
	}
	_, noisy := first[Noise]
	for _, kind := range []string{NMEA, JSON, Text} {
		if h, seen := first[kind]; seen && (kind != Text || !noisy) {
			return h
		}
	}
	return Heard{Kind: Noise, Example: shown(data)}
}

// greeting finds what a microcontroller says each second until it is answered. Its
// checksum proves it.
func greeting(data []byte) (hello link.Hello, found bool) {
	var split link.Splitter
	split.Split(data, func(f link.Frame) {
		if h, is := link.Greeting(f); is {
			hello, found = h, true
		}
	})
	return hello, found
}

// whole are the lines that have both ends, without them.
func whole(data []byte) [][]byte {
	isEnd := func(r rune) bool { return r == '\r' || r == '\n' }
	first, last := bytes.IndexFunc(data, isEnd), bytes.LastIndexFunc(data, isEnd)
	if first < 0 {
		return nil
	}
	if clean(data[:first]) { // nothing was lost before it
		first = 0
	}
	return bytes.FieldsFunc(data[first:last], isEnd)
}

// clean tells that bytes are text that people can read.
func clean(line []byte) bool {
	return utf8.Valid(line) && !bytes.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) && r != '\t' })
}

func classifyLine(line []byte) Heard {
	switch {
	case !clean(line):
		return Heard{Kind: Noise}
	case isSentence(string(line)):
		return Heard{Kind: NMEA, Example: shown(line), Driver: "nmea"}
	case bytes.HasPrefix(bytes.TrimSpace(line), []byte{'{'}) && json.Valid(line):
		return Heard{Kind: JSON, Example: shown(line), Driver: "json-lines"}
	}
	return Heard{Kind: Text, Example: shown(line), Driver: "lines"}
}

// isSentence tells that a line is a sentence of NMEA 0183 with a right checksum:
// the exclusive or of what stands between $ and *, as two hexadecimal digits.
func isSentence(line string) bool {
	if len(line) < 9 || line[0] != '$' && line[0] != '!' {
		return false
	}
	body, sum, found := strings.Cut(line[1:], "*")
	if !found {
		return false
	}
	var have byte
	for i := range len(body) {
		have ^= body[i]
	}
	return strings.EqualFold(strings.TrimSpace(sum), fmt.Sprintf("%02x", have))
}

// shown is the beginning of what came, as people can read it.
func shown(data []byte) string {
	if clean(data) {
		text := []rune(strings.TrimSpace(string(data)))
		return string(text[:min(len(text), maxExample)])
	}
	return fmt.Sprintf("%.60x", data)
}
