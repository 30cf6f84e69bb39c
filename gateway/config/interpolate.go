package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxValue bounds a value that comes from a file: 64 KiB holds any key or
// certificate.
const maxValue = 64 << 10

const references = "${env:NAME}, ${file:/path} or ${credential:name}"

// source is the file that sections come from.
type source struct {
	file string
	// hidden are the values that came from elsewhere, by what stands in their place.
	hidden map[string]string
}

func (s *source) fault(line, column int, path, problem string) *Error {
	return &Error{File: s.file, Line: line, Column: column, Path: path, Problem: problem}
}

// expand interpolates a scalar. What it puts in is not looked at again.
func (s *source) expand(n *node) {
	var out strings.Builder
	rest := n.raw
	for {
		before, after, found := strings.Cut(rest, "$")
		out.WriteString(before)
		if !found {
			n.text = out.String()
			return
		}
		switch {
		case strings.HasPrefix(after, "$"):
			out.WriteByte('$')
			rest = after[1:]
		case strings.HasPrefix(after, "{"):
			reference, tail, closed := strings.Cut(after[1:], "}")
			if !closed {
				n.fault = "${ has no }; want " + references + ", or $$ for a dollar sign"
				return
			}
			value, err := s.resolve(reference)
			if err != nil {
				n.fault = err.Error()
				return
			}
			s.hide(value, "${"+reference+"}")
			n.foreign = true
			out.WriteString(value)
			rest = tail
		default: // a dollar sign on its own stands for itself
			out.WriteByte('$')
			rest = after
		}
	}
}

// leastHidden is the length in bytes from which a value is kept out of the
// errors of others. Shorter ones would be found in any sentence.
const leastHidden = 4

func (s *source) hide(value, reference string) {
	if len(value) < leastHidden {
		return
	}
	if s.hidden == nil {
		s.hidden = make(map[string]string)
	}
	s.hidden[value] = reference
}

// resolve finds the value of one reference, without its ${ and }. The errors
// do not repeat what stands there unless it is a name: it may be a part of a
// secret.
func (s *source) resolve(reference string) (string, error) {
	kind, name, _ := strings.Cut(reference, ":")
	switch kind {
	case "env":
		return env(name)
	case "file":
		if name == "" {
			return "", fmt.Errorf("${file:} names no file; want ${file:/path}")
		}
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(s.file), path)
		}
		return content("${file:"+name+"}", path)
	case "credential":
		return credential(name)
	default:
		hint := ""
		if near := Nearest(kind, []string{"env", "file", "credential"}); near != "" {
			hint = fmt.Sprintf(" (did you mean ${%s:…}?)", near)
		}
		return "", fmt.Errorf("${…} does not say where the value is%s; want %s, or $${ for the characters themselves", hint, references)
	}
}

var envShape = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

func env(name string) (string, error) {
	if !envShape.MatchString(name) {
		return "", fmt.Errorf("${env:…} does not name a variable; want letters, digits and _")
	}
	value, set := os.LookupEnv(name)
	switch {
	case !set:
		return "", fmt.Errorf("the environment variable %s is not set; set it, for a service with Environment= or EnvironmentFile= in its unit", name)
	case !utf8.ValidString(value):
		return "", fmt.Errorf("the environment variable %s is not UTF-8; want text", name)
	}
	return value, nil
}

func credential(name string) (string, error) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return "", fmt.Errorf("${credential:…} does not name a credential; want the name in LoadCredential= of the unit, without a slash")
	}
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return "", fmt.Errorf("${credential:%s}: there are no credentials, CREDENTIALS_DIRECTORY is not set; want LoadCredential=%s:/path in the unit and the program started by systemd", name, name)
	}
	return content("${credential:"+name+"}", filepath.Join(dir, name))
}

// content is a file's text without the newline at its end.
func content(reference, path string) (string, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file; want one that holds the value", reference)
	}
	text, err := read(path, maxValue)
	if err != nil {
		return "", fmt.Errorf("%s %w; want a file of at most 64 KiB that the user of this program may read", reference, err)
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		return "", fmt.Errorf("%s holds bytes that are not text; want UTF-8 without NUL bytes", reference)
	case value == "":
		return "", fmt.Errorf("%s is empty; want a file that holds the value", reference)
	}
	return value, nil
}
