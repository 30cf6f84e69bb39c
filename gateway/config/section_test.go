package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
)

func TestText(t *testing.T) {
	t.Setenv("DRIVER", "thermo")
	s := section(t, "a: off\nb: ${env:DRIVER}\nc: ${env:NOT_SET}\nd: [1]\ne:\nf: \"\"\n")
	for key, want := range map[string]string{"a": "off", "b": "thermo", "c": "${env:NOT_SET}", "f": ""} {
		if got, ok := s.Text(key); got != want || !ok {
			t.Errorf("%s: got %q, %v; want %q", key, got, ok, want)
		}
	}
	for _, key := range []string{"d", "e", "g"} {
		if got, ok := s.Text(key); ok {
			t.Errorf("%s: got %q, want none", key, got)
		}
	}
}

func TestErrorf(t *testing.T) {
	s := section(t, "id: x\nlanes:\n  a.b:\n    ttl: 1\nlist:\n  - id: one\n    n: 1\n  - n: 2\n")
	for field, want := range map[string]string{
		"id":              ":1:5: id: no",
		"nowhere":         ":1:1: nowhere: no",
		"":                ":1:1: no",
		"lanes.a.b.ttl":   ":4:10: lanes.\"a.b\".ttl: no",
		"lanes.a.b":       ":3:3: lanes.\"a.b\": no",
		"lanes.c":         ":2:1: lanes.c: no",
		"list[0].n":       ":7:8: list[one].n: no",
		"list[one].n":     ":7:8: list[one].n: no",
		"list[1].n":       ":8:8: list[1].n: no",
		"list[2].n":       ":5:1: list[2].n: no",
		"list[0].nowhere": ":6:5: list[0].nowhere: no",
		"id[":             ":1:5: id[: no",
	} {
		got := s.Errorf(field, "n%s", "o").Error()
		if !strings.HasSuffix(got, "c.yaml"+want) {
			t.Errorf("%s: got %q, want %q", field, got, want)
		}
	}
}

// TestZeroSection: a section that was never decoded is an empty one.
func TestZeroSection(t *testing.T) {
	var s config.Section
	if _, ok := s.Text("a"); ok {
		t.Error("it has a text")
	}
	var l lane
	if err := s.Decode(&l); err != nil || l.Overflow != "block" {
		t.Errorf("got %+v, %v", l, err)
	}
	if got := s.Errorf("a", "no").Error(); got != "a: no" {
		t.Errorf("got %q", got)
	}
}

// talker says in its Validate what it must not.
type talker struct {
	Key  config.Secret `yaml:"key"`
	File string        `yaml:"file"`
}

func (c *talker) Validate() error {
	return &gateway.FieldError{Field: "file", Problem: c.File + " and " + c.Key.Reveal() + " will not do"}
}

// TestSecretsStayHidden: neither a literal secret nor what came from elsewhere
// shows in the errors of those who were given it.
func TestSecretsStayHidden(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("s3cret\n\"quoted\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "c.yaml")
	if err := os.WriteFile(path, []byte("key: literal-hunter2\nfile: a${file:secret}b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Decode(&talker{})
	if want := path + ":2:7: file: a${file:secret}b and (secret) will not do"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	text, _ := s.Text("file")
	if got := s.Errorf("file", "there is no %q", text).Error(); strings.Contains(got, "s3cret") {
		t.Errorf("Errorf shows the secret: %s", got)
	}
}

// TestWhatIsThere: a key without default keeps what the struct has, and a
// struct is decoded as far as it is right.
func TestWhatIsThere(t *testing.T) {
	v := values{Whole: 5, Skipped: "kept"}
	offset := 1.0
	v.Offset = &offset
	if err := section(t, "ratio: 0.25\nwhole: many\nwaits: [1s, x, 2s]\n").Decode(&v); err == nil {
		t.Error("no error")
	}
	if v.Ratio != 0.25 || *v.Offset != 1 || v.Skipped != "kept" || len(v.Waits) != 2 || v.Address != 0x76 {
		t.Errorf("got %+v", v)
	}
}

func TestDecodeIntoNoStruct(t *testing.T) {
	s := section(t, "a: 1\n")
	for _, target := range []any{nil, plant{}, new(int), (*plant)(nil)} {
		if err := s.Decode(target); err == nil || !strings.Contains(err.Error(), "a fault of the program") {
			t.Errorf("%T: got %v", target, err)
		}
	}
}
