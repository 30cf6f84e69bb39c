package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// form is what a value looks like in the file.
type form int

const (
	empty form = iota // nothing, null or ~
	scalar
	list
	mapping
)

func (f form) String() string {
	return [...]string{"nothing", "a single value", "a list", "a section"}[f]
}

// node is one value of the file.
type node struct {
	form         form
	line, column int
	path         string

	// Of a scalar: raw stands in the file, text is what it means after
	// interpolation, or fault says why it means nothing. plain is without
	// quotes; foreign comes in part from elsewhere, so that it may be a secret.
	raw, text, fault string
	plain, foreign   bool

	entries []entry // of a mapping
	items   []*node // of a list
}

// entry is one key of a mapping and its value.
type entry struct {
	key          string
	line, column int
	value        *node
}

// get finds a key; nil if it is absent.
func (n *node) get(key string) *node {
	for _, e := range n.entries {
		if e.key == key {
			return e.value
		}
	}
	return nil
}

// settle gives every value its path and interpolates it.
func (n *node) settle(path string, expand func(*node)) {
	n.path = path
	switch n.form {
	case scalar:
		expand(n)
	case mapping:
		for _, e := range n.entries {
			e.value.settle(below(path, e.key), expand)
		}
	case list:
		ids := make(map[string]int)
		for _, item := range n.items {
			ids[item.id()]++
		}
		for i, item := range n.items {
			name := strconv.Itoa(i)
			if id := item.id(); id != "" && ids[id] == 1 {
				name = id
			}
			item.settle(path+"["+name+"]", expand)
		}
	}
}

var idShape = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,62}$`)

// id is the name by which an item of a list goes in paths; empty if it goes
// by its number.
func (n *node) id() string {
	if id := n.get("id"); id != nil && id.form == scalar && idShape.MatchString(id.raw) {
		return id.raw
	}
	return ""
}

var keyShape = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// below is the path of a key in a section.
func below(path, key string) string {
	if !keyShape.MatchString(key) {
		key = quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// find follows a field such as lanes.telemetry.max_bytes or items[2].name as
// far as the file has it. ok is false if it does not have all of it.
func (n *node) find(field string) (found *node, ok bool) {
	if field == "" {
		return n, true
	}
	if rest, isItem := strings.CutPrefix(field, "["); isItem {
		return n.findItem(rest)
	}
	found = n
	for _, e := range n.entries { // keys may hold dots, so each that fits is tried
		rest, fits := strings.CutPrefix(field, e.key)
		if !fits || (rest != "" && rest[0] != '.' && rest[0] != '[') {
			continue
		}
		deeper, ok := e.value.find(strings.TrimPrefix(rest, "."))
		if ok {
			return deeper, true
		}
		found = deeper
	}
	return found, false
}

// findItem follows a field such as 2].name into a list.
func (n *node) findItem(field string) (found *node, ok bool) {
	name, rest, closed := strings.Cut(field, "]")
	if n.form == scalar && closed && name == "0" && rest == "" {
		return n, true // a list of one, without brackets
	}
	for i, item := range n.items {
		if closed && (strconv.Itoa(i) == name || item.id() == name) {
			return item.find(strings.TrimPrefix(rest, "."))
		}
	}
	return n, false
}

// quote shows a text from the file, cut to a length that is readable.
func quote(s string) string {
	const most = 40
	if runes := []rune(s); len(runes) > most {
		return fmt.Sprintf("%q…", string(runes[:most]))
	}
	return strconv.Quote(s)
}
