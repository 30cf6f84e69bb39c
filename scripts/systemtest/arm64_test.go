//go:build wide

package systemtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// emulated is the release binary for arm64, which the user-mode emulator runs.
func emulated(t *testing.T) (emulator, binary string) {
	t.Helper()
	binary, err := filepath.Abs("../../dist/fieldpost-linux-arm64")
	if err == nil {
		_, err = os.Stat(binary)
	}
	if err != nil {
		t.Fatalf("%v; run `make build` first", err)
	}
	emulator, err = exec.LookPath("qemu-aarch64-static")
	if err != nil {
		t.Fatalf("%v; install qemu-user-static", err)
	}
	return emulator, binary
}

// TestARM64Drains runs the very file that goes onto a board: it tells its
// version, checks the config, and takes 1,000 messages to the hub.
func TestARM64Drains(t *testing.T) {
	const messages = 1000
	emulator, binary := emulated(t)
	dir := t.TempDir()
	h := startHub(t, dir)
	g := prepareGateway(t, dir, h)
	for _, args := range [][]string{{"version"}, {"check", "--config", g.config}} {
		out, err := exec.Command(emulator, append([]string{binary}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("fieldpost %v: %v\n%s", args, err, out)
		}
		t.Logf("%s", out)
	}
	started := time.Now()
	g.process = spawn(t, g.log, emulator, binary, "run", "--config", g.config)
	if _, err := g.ingestWhenUp(t); err != nil {
		t.Fatal(err)
	}
	t.Logf("first reading accepted after %v", time.Since(started).Round(time.Millisecond))
	var lines []string
	for i := range messages {
		lines = append(lines, fmt.Sprintf(`{"name":"n","value":%d}`, i))
	}
	answers, err := g.ingest(lines)
	if err != nil || len(answers) != messages {
		t.Fatalf("%d of %d lines answered: %v", len(answers), messages, err)
	}
	eventually(t, 60*time.Second, func() error {
		if n := len(h.events(t)); n < messages+1 {
			return fmt.Errorf("%d messages have arrived", n)
		}
		return nil
	})
	if code := g.process.terminate(t, 30*time.Second); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	judgeAudit(t, h)
}
