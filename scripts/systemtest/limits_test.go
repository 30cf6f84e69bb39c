//go:build wide

package systemtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The program of the queue's own tests is what runs under limits here: told so
// by its environment, it fills a store with a million messages or drains it, and
// reports what that took.

// queueTests builds that program for an architecture.
func queueTests(t *testing.T, arch string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "queue-"+arch)
	cmd := exec.Command("go", "test", "-c", "-o", file, module+"storeforward")
	cmd.Env = append(os.Environ(), "GOARCH="+arch, "GOARM=6", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go test -c for %s: %v\n%s", arch, err, out)
	}
	return file
}

// aMillion fills and drains a store by the program, begun through a shell so
// that the limit holds from its first instruction.
func aMillion(t *testing.T, program, limit string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "queue")
	for _, phase := range []string{"fill", "drain"} {
		cmd := exec.Command("sh", "-c", limit+` && exec "$0"`, program)
		cmd.Env = append(os.Environ(), "STOREFORWARD_MEMORY_DIR="+dir, "STOREFORWARD_MEMORY_PHASE="+phase, "GOMEMLIMIT=24MiB")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), phase+"-close-ms") {
			t.Fatalf("%s: %v\n%s", phase, err, out)
		}
		t.Logf("%s", strings.ReplaceAll(string(out), "\n", "  "))
	}
}

// TestMillionIn64MB: the kernel kills what takes more memory than its control
// group may have, mapped files and cached pages included.
func TestMillionIn64MB(t *testing.T) {
	const limit = 64 << 20
	group, peak := memoryGroup(t, limit)
	aMillion(t, queueTests(t, ""), fmt.Sprintf("echo $$ > %s/cgroup.procs", group))
	if most := readNumber(t, peak); most > limit {
		t.Errorf("%d bytes at most, the limit is %d", most, limit)
	} else {
		t.Logf("%d bytes at most", most)
	}
}

// memoryGroup makes a control group, of either version.
func memoryGroup(t *testing.T, limit int) (dir, peak string) {
	t.Helper()
	for _, v := range []struct{ root, limit, peak string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"},
		{"/sys/fs/cgroup", "memory.max", "memory.peak"},
	} {
		dir := filepath.Join(v.root, fmt.Sprintf("fieldpost-test-%d", os.Getpid()))
		if err := os.Mkdir(dir, 0o755); err != nil {
			continue
		}
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		})
		if err := os.WriteFile(filepath.Join(dir, v.limit), []byte(strconv.Itoa(limit)), 0o600); err == nil {
			return dir, filepath.Join(dir, v.peak)
		}
	}
	t.Skip("no control groups for memory that this user may make")
	return "", ""
}

func readNumber(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return 0 // an older kernel does not tell
	}
	n, err2 := strconv.Atoi(strings.TrimSpace(string(text)))
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestMillionIn512MBOfAddresses is what a 32-bit program has on a small board.
// 386 stands for armhf, whose words are as long: it runs here at full speed,
// under a limit that the emulator of the other cannot set.
func TestMillionIn512MBOfAddresses(t *testing.T) {
	t.Parallel()
	program := queueTests(t, "386")
	if err := exec.Command(program, "-test.run", "^$").Run(); err != nil {
		t.Skipf("this kernel does not run 32-bit programs: %v", err)
	}
	aMillion(t, program, "ulimit -v 524288")
}

// TestARM32Queue runs the queue's tests as the boards with armhf would.
func TestARM32Queue(t *testing.T) {
	t.Parallel()
	emulator, err := exec.LookPath("qemu-arm-static")
	if err != nil {
		t.Fatal("qemu-arm-static is missing: install qemu-user-static")
	}
	cmd := exec.Command(emulator, queueTests(t, "arm"), "-test.v",
		"-test.run", "Order|Drained|DropOldest|Survives|Chunks|Largest|Retry|Rejected|Interval|Expir|Itself|Woven|Encrypt|Fails|OneBuffer|LevelZero|HalfABlock")
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS") < 18 {
		t.Fatalf("%v\n%s", err, out)
	}
}
