package durable_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway/durable"
)

func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	// What a crash has left, longer and for everybody to read.
	if err := os.WriteFile(path+".new", []byte(strings.Repeat("x", 100)), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"first", "", "second"} {
		if err := durable.Replace(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("read %q, %v, want %q", got, err, content)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestReplaceFailsAndLeavesTheOldContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	if err := durable.Replace(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(path+".new/x", 0o700); err != nil { // in the way, and not empty
		t.Fatal(err)
	}
	if err := durable.Replace(path, []byte("new"), 0o600); err == nil {
		t.Error("no error")
	}
	if got, _ := os.ReadFile(path); string(got) != "old" {
		t.Errorf("read %q, want the old content", got)
	}
	if err := durable.Replace(filepath.Join(t.TempDir(), "no", "file"), nil, 0o600); err == nil {
		t.Error("written where there is no directory")
	}
}

func TestMakeDir(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "devices")
	for range 2 {
		if err := durable.MakeDir(path, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.WriteFile(path+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := durable.MakeDir(path+"/file/devices", 0o750); err == nil {
		t.Error("made below a file")
	}
}
