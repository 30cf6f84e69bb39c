package service

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestMemoryOutlivesARestart(t *testing.T) {
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	m := newMemory(dir, "rain", log)
	if data, err := m.Load(); err != nil || data != nil {
		t.Errorf("of a new device: %q, %v", data, err)
	}
	for _, want := range []string{"total=17", "", strings.Repeat("x", maxMemory)} {
		if err := m.Save([]byte(want)); err != nil {
			t.Fatal(err)
		}
		if data, err := newMemory(dir, "rain", log).Load(); err != nil || string(data) != want {
			t.Errorf("%q, %v, want %q", data, err, want)
		}
	}
	if err := m.Save(make([]byte, maxMemory+1)); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("too much: %v", err)
	}
	if data, _ := m.Load(); len(data) != maxMemory {
		t.Errorf("after a save that was refused: %d bytes", len(data))
	}
	// Ids that look like what is left of a save do not meet.
	if err := newMemory(dir, "rain.memory.new", log).Save([]byte("other")); err != nil {
		t.Fatal(err)
	}
	if data, _ := m.Load(); len(data) != maxMemory {
		t.Errorf("after another device has saved: %d bytes", len(data))
	}
}

// TestDamagedMemoryBeginsAnew, with one line in the log.
func TestDamagedMemoryBeginsAnew(t *testing.T) {
	sound := frame([]byte("total=17"))
	cases := map[string][]byte{
		"empty": {}, "torn": sound[:len(sound)-1], "header only": sound[:4], "long": make([]byte, 5000),
		"flipped": append([]byte{sound[0] ^ 1}, sound[1:]...),
	}
	for n := range 4 + maxMemory {
		cases["zeros"] = make([]byte, n+1)
		for name, file := range cases {
			if n > 0 && name != "zeros" {
				continue
			}
			if data, sound := unframe(file, maxMemory); sound || data != nil {
				t.Fatalf("%s of %d bytes: %q", name, len(file), data)
			}
		}
	}
	dir := t.TempDir()
	var logs bytes.Buffer
	m := newMemory(dir, "rain", slog.New(slog.NewTextHandler(&logs, nil)))
	if err := m.Save([]byte("total=17")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "devices", "rain.memory"), sound[:6], 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := m.Load(); err != nil || data != nil {
		t.Errorf("%q, %v", data, err)
	}
	if n := strings.Count(logs.String(), "\n"); n != 1 || !strings.Contains(logs.String(), "rain.memory") {
		t.Errorf("log: %s", &logs)
	}
}

func FuzzMemory(f *testing.F) {
	f.Add(frame([]byte("total=17")))
	f.Add([]byte{})
	f.Add(make([]byte, 20))
	f.Fuzz(func(t *testing.T, file []byte) {
		if data, sound := unframe(file, maxMemory); sound && !bytes.Equal(frame(data), file) {
			t.Errorf("%x is taken for %x", file, data)
		}
	})
}
