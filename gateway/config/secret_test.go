package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway/config"
)

// TestSecretIsNotPrinted: none of the usual ways to print a struct gives its
// secrets away.
func TestSecretIsNotPrinted(t *testing.T) {
	const value = "hunter2"
	c := struct{ Key config.Secret }{value}
	var out bytes.Buffer
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		fmt.Fprintf(&out, format+"\n", c)
		fmt.Fprintf(&out, format+"\n", c.Key)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", c.Key, "all", c)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", c.Key, "all", c)
	if err := json.NewEncoder(&out).Encode(c); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), value) {
		t.Errorf("the secret shows in:\n%s", out.String())
	}
	if c.Key.Reveal() != value {
		t.Error("Reveal does not reveal")
	}
}
