package bus

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTerminalOfAProcess: /proc/PID/stat, whose name can hold anything.
func TestTerminalOfAProcess(t *testing.T) {
	for text, want := range map[string]uint64{
		"612 (agetty) S 1 612 612 1025 612 4194560 1 2":    unix.Mkdev(4, 1),
		"612 (a) b (c)) S 1 612 612 52288 612 4194560 1 2": unix.Mkdev(204, 64), // ttyAMA0
		"612 (agetty) S 1 612 612 1048577 612 4194560":     unix.Mkdev(0, 257),
		"612 (none) S 1 612 612 0 -1 4194560 1 2":          0,
		"612 (none) S 1 612 612 -1 -1 4194560 1 2":         0,
		"612 (short) S 1": 0,
		"":                0,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "stat"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := terminalOf(dir); got != want {
			t.Errorf("%q: %d:%d, want %d:%d", text, unix.Major(got), unix.Minor(got), unix.Major(want), unix.Minor(want))
		}
	}
	if got := terminalOf(t.TempDir()); got != 0 {
		t.Errorf("of a process that has ended: %d", got)
	}
}

// TestUsersOfAPort: /dev/full stands in for a port; everybody may open it, so
// that others may have it open too.
func TestUsersOfAPort(t *testing.T) {
	const port = "/dev/full"
	var stat unix.Stat_t
	if err := unix.Stat(port, &stat); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(port)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() // our own does not count
	if got := users(&stat); slices.Contains(got, os.Getpid()) {
		t.Fatalf("%v use %s, this process (%d) among them", got, port, os.Getpid())
	}
	other := exec.CommandContext(t.Context(), "sleep", "60")
	other.Stdin = file
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if got := users(&stat); !slices.Contains(got, other.Process.Pid) {
		t.Errorf("%v use %s, without %d", got, port, other.Process.Pid)
	}
	_ = other.Process.Kill()
	_ = other.Wait()
	if got := users(&stat); slices.Contains(got, other.Process.Pid) {
		t.Errorf("%v after the end of %d", got, other.Process.Pid)
	}
}
