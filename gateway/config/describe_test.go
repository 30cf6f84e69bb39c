package config

import (
	"encoding/json"
	"testing"
	"time"
)

type described struct {
	Name   string           `yaml:"name"`
	URL    string           `yaml:"url"`
	Every  time.Duration    `yaml:"every"`
	Size   Bytes            `yaml:"size"`
	Share  Percent          `yaml:"share"`
	Secret Secret           `yaml:"secret"`
	None   Secret           `yaml:"none"`
	Keys   []Secret         `yaml:"keys"`
	Lanes  map[string]inner `yaml:"lanes"`
	Plan   *inner           `yaml:"plan"`
	NoPlan *inner           `yaml:"no_plan"`
	Rest   []Section        `yaml:"rest"`
	inner
}

type inner struct {
	On  bool    `yaml:"on"`
	Key Secret  `yaml:"key"`
	X   float64 `yaml:"x"`
}

// TestDescribeHidesSecrets, wherever they are, and shows all else.
func TestDescribeHidesSecrets(t *testing.T) {
	data, err := json.Marshal(Describe(&described{
		Name: "n", URL: "wss://b.example/mqtt?token=hush", Every: 90 * time.Second, Size: 64e6, Share: 80, Secret: "hush", Keys: []Secret{"hush", "hush"},
		Lanes: map[string]inner{"a": {On: true, Key: "hush"}}, Plan: &inner{X: 1.5}, Rest: []Section{{}},
	}))
	const want = `{"every":"1m30s","key":"","keys":["(secret)","(secret)"],"lanes":{"a":{"key":"(secret)","on":true,"x":0}},` +
		`"name":"n","no_plan":null,"none":"","on":false,"plan":{"key":"","on":false,"x":1.5},"secret":"(secret)","share":"80%","size":64000000,"url":"wss://b.example/mqtt?(secret)","x":0}`
	if err != nil || string(data) != want {
		t.Errorf("got\n%s (%v)\nwant\n%s", data, err, want)
	}
}
