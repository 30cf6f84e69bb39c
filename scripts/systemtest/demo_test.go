package systemtest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// demoArgs runs the demo in dir with the programs under test.
func demoArgs(t *testing.T, dir, mqtt string) []string {
	t.Helper()
	config, err := filepath.Abs("../../configs/demo.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return []string{
		"--data", dir, "--bin", filepath.Dir(program(t, "fieldpost")), "--config", config,
		"--mqtt", mqtt, "--https", "127.0.0.1:0", "--every", "1s",
	}
}

// TestDemoShowsTheWholeLine is what `make run` shows: readings of this machine
// and of the simulated board, and commands with their results; Ctrl-C ends it.
func TestDemoShowsTheWholeLine(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "demo")
	out := filepath.Join(dir, "screen")
	demo := spawn(t, out, program(t, "demo"), demoArgs(t, data, "127.0.0.1:0")...)
	eventually(t, 20*time.Second, func() error {
		text, err := os.ReadFile(out)
		if err != nil {
			return err
		}
		for _, want := range []string{
			"↑ board", "memory", "↑ greenhouse", "temperature", "°C", "humidity",
			"↓ command  greenhouse relay on=true", "↑ result   greenhouse relay on=true: done",
			"↑ result   greenhouse relay on=false: done",
		} {
			if !strings.Contains(string(text), want) {
				return fmt.Errorf("the screen does not show %q yet:\n%s", want, text)
			}
		}
		return nil
	})
	interrupted := time.Now()
	if err := demo.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := demo.wait(t, 20*time.Second); code != 0 {
		t.Errorf("exit code %d after Ctrl-C\n%s", code, tail(out, 20))
	}
	t.Logf("stopped in %v", time.Since(interrupted).Round(time.Millisecond))
	if text := string(tail(out, 5)); strings.Contains(text, "killing") {
		t.Errorf("a program had to be killed:\n%s", text)
	}
}

// TestDemoNamesAPortInUse: it does not take another one in silence.
func TestDemoNamesAPortInUse(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	dir := t.TempDir()
	out := filepath.Join(dir, "screen")
	demo := spawn(t, out, program(t, "demo"), demoArgs(t, filepath.Join(dir, "demo"), busy.Addr().String())...)
	if code := demo.wait(t, 20*time.Second); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if text := string(tail(out, 20)); !strings.Contains(text, busy.Addr().String()) || !strings.Contains(text, "in use") {
		t.Errorf("want the address and that it is in use in:\n%s", text)
	}
}
