package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway/config"
)

// FuzzLoad: any bytes give a config or Errors that each say something on one
// line, and never a panic.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Add([]byte("a: ${env:${env:HOME}} $${ ${"))
	path := filepath.Join(f.TempDir(), "fuzz.yaml")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := load(path)
		if err == nil {
			return
		}
		var errs config.Errors
		if !errors.As(err, &errs) || len(errs) == 0 {
			t.Fatalf("got %T, want Errors", err)
		}
		if lines := strings.Count(err.Error(), "\n") + 1; lines != len(errs) {
			t.Fatalf("%d errors on %d lines:\n%v", len(errs), lines, err)
		}
		for _, e := range errs {
			if e.Problem == "" || e.File != path || e.Line < 1 || e.Column < 1 {
				t.Fatalf("no place or nothing said: %#v", e)
			}
		}
	})
}
