package bus

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNamesThatDoNotLastAreAdvisedAgainst(t *testing.T) {
	for port, unwise := range map[string]bool{
		"/dev/ttyUSB0": true, "/dev/ttyACM12": true,
		"/dev/ttyAMA0": false, "/dev/serial0": false, "/dev/serial/by-id/usb-x-port0": false, "/dev/ttyUSB": false,
	} {
		advice := PortConfig{Port: port}.Advice()
		if (len(advice) > 0) != unwise || unwise && (advice[0].Field != "port" || !strings.Contains(advice[0].Problem, "/dev/serial/by-id")) {
			t.Errorf("%s: %v", port, advice)
		}
	}
}

func TestStableNameIsFound(t *testing.T) {
	dir := t.TempDir()
	byID, byPath, port := filepath.Join(dir, "by-id"), filepath.Join(dir, "by-path"), filepath.Join(dir, "ttyUSB0")
	for _, d := range []string{byID, byPath} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) string {
		t.Helper()
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
		return name
	}
	dirs := []string{byID, byPath}
	if err := os.WriteFile(port, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link(filepath.Join(dir, "gone"), filepath.Join(byID, "another"))
	if got := stableName(port, dirs); got != "" {
		t.Errorf("without a link: %s", got)
	}
	socket := link("../ttyUSB0", filepath.Join(byPath, "socket"))
	if got := stableName(port, dirs); got != socket {
		t.Errorf("%s, want %s", got, socket)
	}
	adapter := link("../ttyUSB0", filepath.Join(byID, "usb"))
	if got := stableName(port, dirs); got != adapter {
		t.Errorf("%s, want %s", got, adapter)
	}
	if got := stableName(filepath.Join(dir, "ttyUSB9"), dirs); got != "" {
		t.Errorf("of a port that is not there: %s", got)
	}
}

func TestConsoleIsAdvisedAgainst(t *testing.T) {
	dir := t.TempDir()
	active, link := filepath.Join(dir, "active"), filepath.Join(dir, "serial0")
	if err := errors.Join(
		os.WriteFile(active, []byte("tty1 ttyAMA0\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "ttyAMA0"), nil, 0o600),
		os.Symlink("ttyAMA0", link),
	); err != nil {
		t.Fatal(err)
	}
	for port, want := range map[string]bool{"/dev/ttyAMA0": true, link: true, "/dev/ttyAMA1": false, "/dev/tty": false} {
		if isConsole(port, active) != want {
			t.Errorf("%s: %v, want %v", port, !want, want)
		}
	}
	if isConsole("/dev/ttyAMA0", filepath.Join(dir, "none")) {
		t.Error("without such a file")
	}
}
