package storeforward

import (
	"errors"
	"os"
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
