package storeforward

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestOpenErrorsSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	inFile := testOptions(filepath.Join(file, "store"))
	full := testOptions(filepath.Join(dir, "full"))
	full.free = func(string) (int64, error) { return 10 << 20, nil }
	locked := testOptions(filepath.Join(dir, "locked"))
	mustOpen(t, locked)
	noManifest := testOptions(filepath.Join(dir, "broken"))
	if err := os.MkdirAll(noManifest.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(noManifest.Dir, "000001.sst"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		opts Options
		want error
		says string
	}{
		{"not a directory", inFile, nil, "right to write"},
		{"full disk", full, gateway.ErrFull, "delete files"},
		{"second process", locked, ErrLocked, "running already"},
		{"no manifest", noManifest, ErrDamaged, "no MANIFEST"},
		{"no clock", Defaults(dir), gateway.ErrInvalid, "clock"},
	} {
		_, err := Open(c.opts)
		if err == nil || (c.want != nil && !errors.Is(err, c.want)) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// of a log file and its first byte.
func TestLogsWithoutAByte(t *testing.T) {
	o := testOptions(t.TempDir())
	q := mustOpen(t, o)
	ids := mustAppend(t, q, msg(gateway.LaneTelemetry, "kept"))
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"00077.mem", "000077.vlog"} {
		if err := os.WriteFile(filepath.Join(o.Dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := mustNext(t, mustOpen(t, o)); got.ID != ids[0] {
		t.Errorf("got %s, want %s", got.ID, ids[0])
	}
}

// deathsOf is how many runs of a store have ended badly, as its witness knows.
func deathsOf(t *testing.T, o Options) uint32 {
	t.Helper()
	heard, err := hear(witnessPath(o.Dir))
	if err != nil || heard == nil {
		t.Fatalf("witness: %v, %v", heard, err)
	}
	return heard.deaths
}

// TestDeathsBeforeTheStoreIsOpenCount: what the engine dies of it can die of at
// once. After two of them every block is read.
func TestDeathsBeforeTheStoreIsOpenCount(t *testing.T) {
	o := crashOptions(filepath.Join(t.TempDir(), "queue"))
	q := mustOpen(t, o)
	for range 5 {
		mustAppend(t, q, msg(gateway.LaneTelemetry, noise(200_000)))
	}
	mustClose(t, q)
	spoil(t, o.Dir, "*.sst", flip(100_000))
	for n := range uint32(maxDeaths) {
		if got := deathsOf(t, o); got != n {
			t.Fatalf("%d deaths are known of %d", got, n)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashDir+"="+o.Dir, crashStep+"=1") // before the engine is opened
		if out, err := cmd.CombinedOutput(); err == nil || strings.Contains(string(out), "ready") {
			t.Fatalf("the process has come to its work: %v\n%s", err, out)
		}
	}
	if _, err := Open(o); !errors.Is(err, ErrDamaged) {
		t.Errorf("after %d deaths: %v, want ErrDamaged", maxDeaths, err)
	}
}

// TestOnlyDeathsAreCounted, up to the end of Close.
func TestOnlyDeathsAreCounted(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	o.Key = []byte(testKey)
	inClose := uint32(0)
	o.step = func(name string) {
		if name == "closed" {
			inClose = deathsOf(t, o)
		}
	}
	mustClose(t, mustOpen(t, o))
	q := mustOpen(t, o)
	if n := deathsOf(t, o); n != 1 {
		t.Errorf("a run under way counts as %d deaths, until it has ended", n)
	}
	mustClose(t, q)
	if n := deathsOf(t, o); inClose != 1 || n != 0 {
		t.Errorf("%d deaths while the engine closes, %d after it", inClose, n)
	}
	other := o
	other.Key = []byte("another key of sixteen bytes")
	for range maxDeaths + 1 {
		if _, err := Open(other); !errors.Is(err, ErrKey) {
			t.Fatalf("%v, want ErrKey", err)
		}
	}
	if n := deathsOf(t, o); n != 0 {
		t.Errorf("a store that is not opened counts as %d deaths", n)
	}
}

// TestAStoreWithoutItsWitnessIsReadThrough: nobody knows what became of it.
func TestAStoreWithoutItsWitnessIsReadThrough(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	storeWith(t, o, noise(200_000), noise(200_000), noise(200_000))
	spoil(t, o.Dir, "*.sst", flip(100_000))
	if err := os.Remove(witnessPath(o.Dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); !errors.Is(err, ErrDamaged) {
		t.Errorf("%v, want ErrDamaged", err)
	}
}

// TestANewStoreNeedsRoom for more than opening it: nothing is written below that.
func TestANewStoreNeedsRoom(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	o.free = func(string) (int64, error) { return hardFree - 1, nil }
	q, err := Open(o)
	if err == nil {
		mustClose(t, q)
	}
	if !errors.Is(err, gateway.ErrFull) || !strings.Contains(err.Error(), "delete files") {
		t.Errorf("%v, want ErrFull", err)
	}
}
