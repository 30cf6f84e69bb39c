package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway/config"
)

func TestCheckTags(t *testing.T) {
	for _, right := range []any{plant{}, &plant{}, device{}, relay{}, embedding{}} {
		if err := config.CheckTags(right); err != nil {
			t.Errorf("%T: %v", right, err)
		}
	}
}

type shared struct {
	A int `yaml:"a" default:"1"`
}

type embedding struct {
	shared
	B int `yaml:"b" default:"2"`
}

func TestEmbedded(t *testing.T) {
	var e embedding
	if err := section(t, "a: 7\n").Decode(&e); err != nil || e.A != 7 || e.B != 2 {
		t.Errorf("got %+v, %v", e, err)
	}
}

type selfish struct {
	Kids []selfish `yaml:"kids"`
}

// TestWrongTags: each fault of a programmer is found by CheckTags, and by
// Decode too, without a panic.
func TestWrongTags(t *testing.T) {
	s := section(t, "a: 1\n")
	for want, target := range map[string]any{
		"the tag yaml is": &struct{ A int }{},
		"the tag required is": &struct {
			A int `yaml:"a" required:"yes"`
		}{},
		"a required key has no default": &struct {
			A int `yaml:"a" required:"true" default:"1"`
		}{},
		`the tag lone is "yes" for []int`: &struct {
			A []int `yaml:"a" lone:"yes"`
		}{},
		`the tag lone is "true" for int`: &struct {
			A int `yaml:"a" lone:"true"`
		}{},
		`"x" is not allowed; want a`: &struct {
			A int `yaml:"a" default:"x"`
		}{},
		"the unit is missing": &struct {
			A time.Duration `yaml:"a" default:"5"`
		}{},
		"it is too little": &struct {
			A int `yaml:"a" default:"1" min:"2"`
		}{},
		"is above the tag max": &struct {
			A int `yaml:"a" min:"2" max:"1"`
		}{},
		"the tag min is": &struct {
			A config.Bytes `yaml:"a" min:"5mb"`
		}{},
		"the tag max is for numbers": &struct {
			A string `yaml:"a" max:"5"`
		}{},
		"oneof and pattern are for text": &struct {
			A int `yaml:"a" oneof:"1|2"`
		}{},
		"the tag pattern: error parsing": &struct {
			A string `yaml:"a" pattern:"(" want:"x"`
		}{},
		"no tag want": &struct {
			A string `yaml:"a" pattern:"x"`
		}{},
		"the tag variants is for": &struct {
			A []string `yaml:"a" variants:"x"`
		}{},
		"cannot stand in a config": &struct {
			A any `yaml:"a"`
		}{},
		"are not strings": &struct {
			A map[int]int `yaml:"a"`
		}{},
		"the tag default: is": &struct {
			A []int `yaml:"a" default:"1"`
		}{},
		"the tag default: is not YAML": &struct {
			A []int `yaml:"a" default:"[1"`
		}{},
		`"y" is not allowed; want x`: &struct {
			A []string `yaml:"a" default:"[x, y]" oneof:"x"`
		}{},
	} {
		if err := config.CheckTags(target); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("CheckTags: got %v, want %s", err, want)
		}
		if err := s.Decode(target); err == nil || !strings.Contains(err.Error(), "a fault of the program, not of the file") {
			t.Errorf("Decode: got %v, want a fault of the program for %s", err, want)
		}
	}
	for want, target := range map[string]any{
		"holds itself": selfish{},
		"two fields are named a": struct {
			A, B int `yaml:"a"`
		}{},
		"is no struct": 5,
	} {
		if err := config.CheckTags(target); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
