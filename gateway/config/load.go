package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"
)

// maxFile bounds the config file. A board with a hundred devices needs 50 kB.
const maxFile = 1 << 20

// Read returns the text of a config file. The error is an Errors.
func Read(path string) ([]byte, error) {
	text, err := read(path, maxFile)
	if err != nil {
		return nil, Errors{{File: path, Problem: err.Error() + "; want a YAML file", cause: err}}
	}
	return text, nil
}

// Load reads a config file and returns its root. The error is an Errors.
func Load(path string) (*Section, error) {
	text, err := Read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, text)
}

// Parse reads the text of a config file as if it stood at path. The error is an
// Errors.
func Parse(path string, text []byte) (*Section, error) {
	src := &source{file: path}
	if fault := checkText(src, text); fault != nil {
		return nil, Errors{fault}
	}
	root, errs := parse(src, string(trimBOM(text)))
	if errs != nil {
		return nil, errs.sorted()
	}
	root.settle("", src.expand)
	return &Section{src: src, node: root}, nil
}

// read returns the content of a file if it has no more than limit bytes.
func read(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, reason(err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("is larger than %d bytes", limit)
	}
	return text, nil
}

// reason takes the path away from an error that is reported with the path.
func reason(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return fmt.Errorf("cannot be read: %w", at.Err)
	}
	return fmt.Errorf("cannot be read: %w", err)
}

// checkText makes sure that the bytes are text, so that damage is named as
// such and not as bad YAML.
func checkText(src *source, text []byte) *Error {
	line, column := 1, 1
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return src.fault(line, column, "", fmt.Sprintf("byte 0x%02x is not UTF-8; want the file saved as UTF-8", text[i]))
		case r == 0:
			return src.fault(line, column, "", "a NUL byte: the file is damaged, as after a power cut; want it restored from a copy")
		case control(r) && r != '\t' && r != '\n' && r != '\r':
			return src.fault(line, column, "", fmt.Sprintf("the control character %U is not allowed; want text", r))
		}
		i += size
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
	}
	return nil
}

// trimBOM takes off the mark that editors of another system put before UTF-8.
func trimBOM(text []byte) []byte {
	if r, size := utf8.DecodeRune(text); r == '\ufeff' {
		return text[size:]
	}
	return text
}
