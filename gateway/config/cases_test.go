package config_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
)

var update = flag.Bool("update", false, "write what comes out as what is wanted")

// golden compares a text with the file where it is kept.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got:\n%swant:\n%s", path, got, want)
	}
}

func cases(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", dir, "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases in %s: %v", dir, err)
	}
	t.Setenv("PLANT_ID", "from-env")
	t.Setenv("PLANT_AGE", "5m")
	t.Setenv("PLANT_WRONG", "tell-nobody")
	t.Setenv("PLANT_EMPTY", "")
	t.Setenv("PLANT_LATIN1", "caf\xe9")
	credentials, err := filepath.Abs("testdata/credentials")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", credentials)
	return paths
}

// TestGood decodes each file of testdata/good and compares what comes out.
func TestGood(t *testing.T) {
	for _, path := range cases(t, "good") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			p, all, err := load(path)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(path, ".yaml")+".txt", show(p, all))
		})
	}
}

func show(p plant, all []any) string {
	var b strings.Builder
	fmt.Fprintf(&b, "gateway %+v\nqueue %+v\n", p.Gateway, p.Queue)
	offset := "none"
	if p.Values.Offset != nil {
		offset = fmt.Sprint(*p.Values.Offset)
		p.Values.Offset = nil
	}
	fmt.Fprintf(&b, "values %+v\noffset %s password %q\n", p.Values, offset, p.Values.Password.Reveal())
	fmt.Fprintf(&b, "labels %q\n", p.Labels)
	for _, d := range all {
		fmt.Fprintf(&b, "device %+v\n", d)
	}
	return b.String()
}

// TestBad compares what is said about each file of testdata/bad. No line may
// show a secret.
func TestBad(t *testing.T) {
	for _, path := range cases(t, "bad") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			_, _, err := load(path)
			var errs config.Errors
			if !errors.As(err, &errs) {
				t.Fatalf("got %v, want config.Errors", err)
			}
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Error("the error is not gateway.ErrInvalid")
			}
			for _, e := range errs {
				if e.Line < 1 || e.Column < 1 || e.Problem == "" {
					t.Errorf("%#v has no place or says nothing", e)
				}
			}
			for _, secret := range []string{"tell-nobody", "hunter2", "7e11"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the secret %s shows", secret)
				}
			}
			golden(t, strings.TrimSuffix(path, ".yaml")+".txt", err.Error()+"\n")
		})
	}
}
