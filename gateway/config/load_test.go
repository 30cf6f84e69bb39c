package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway/config"
)

// write makes a config file and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// section loads a text that is right.
func section(t *testing.T, text string) *config.Section {
	t.Helper()
	s, err := config.Load(write(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestUnreadable: what cannot be read as text is named for what it is.
func TestUnreadable(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":        {"", ":1:1: the file is empty"},
		"blank":        {"\n  \n", ":1:1: the file is empty"},
		"null":         {"~\n", ":1:1: the file holds nothing"},
		"large":        {strings.Repeat("# comment\n", 200_000), ": is larger than 1048576 bytes"},
		"latin 1":      {"a: 1\nb: \"caf\xe9\"\n", ":2:8: byte 0xe9 is not UTF-8"},
		"utf-16":       {"\xff\xfea\x00:\x00", ":1:1: byte 0xff is not UTF-8"},
		"zeroes":       {strings.Repeat("\x00", 4096), ":1:1: a NUL byte: the file is damaged, as after a power cut"},
		"zeroes after": {"a: 1\nü: \x00\x00", ":2:4: a NUL byte"},
		"control":      {"a: \x07\n", ":1:4: the control character U+0007"},
		"only a mark":  {"\ufeff", ":1:1: the file is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, c.text)
			_, err := config.Load(path)
			var errs config.Errors
			if !errors.As(err, &errs) || len(errs) != 1 || !strings.HasPrefix(err.Error(), path+c.want) {
				t.Errorf("got %v, want %s%s…", err, path, c.want)
			}
		})
	}
}

func TestNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nowhere.yaml")
	_, err := config.Load(path)
	var errs config.Errors
	if !errors.As(err, &errs) || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v, want config.Errors of fs.ErrNotExist", err)
	}
	if want := path + ": cannot be read: no such file or directory; want a YAML file"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if _, err := config.Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: %v", err)
	}
}

// TestHostileShapes: no file of the size that is allowed costs more than a
// moment, and what nests too deep or has too many keys is refused.
func TestHostileShapes(t *testing.T) {
	const size = 1 << 20
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	for name, c := range map[string]struct{ text, want string }{
		"brackets":   {"a: " + fill("[")[4:], "too deep"},
		"braces":     {"a: " + fill("{a: ")[4:], "too deep"},
		"dashes":     {fill("- "), "too deep"},
		"keys":       {fill("a: 1\n"), "too many keys"},
		"flow keys":  {"{" + fill("a: 1,")[5:] + "}", "too many keys"},
		"questions":  {fill("? "), "keys with ? are not allowed"},
		"anchors":    {"a: " + fill("&a ")[6:], "anchors are not allowed"},
		"tags":       {"a: " + fill("!a ")[6:], "tags are not allowed"},
		"colons":     {fill(":"), ""},
		"quotes":     {fill("'"), ""},
		"references": {"a: " + fill("${")[8:], ""},
		"dollars":    {"a: " + fill("$")[8:], ""},
		"staircase":  {staircase(1400), "too deep"},
		"documents":  {fill("---\n"), "second document"},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, c.text)
			began := time.Now()
			_, err := config.Load(path)
			if took := time.Since(began); took > time.Minute {
				t.Errorf("took %v", took)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %.200v, want %s", err, c.want)
			}
		})
	}
}

func staircase(steps int) string {
	var b strings.Builder
	for i := range steps {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}
