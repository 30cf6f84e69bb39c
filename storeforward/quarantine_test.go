package storeforward

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

// spoil changes each file that matches a pattern.
func spoil(t *testing.T, dir, pattern string, change func(data []byte) []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s in the store (%v)", pattern, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if data = change(data); data == nil {
			err = os.Remove(file)
		} else {
			err = os.WriteFile(file, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func flip(at int) func([]byte) []byte {
	return func(data []byte) []byte {
		data[(at+len(data))%len(data)] ^= 0xff
		return data
	}
}

func half(data []byte) []byte { return data[:len(data)/2] }
func none([]byte) []byte      { return []byte{} }
func gone([]byte) []byte      { return nil }

// TestDamagedStoresAreSetAside: whatever the engine complains of is called
// damage; after the quarantine a new store works, with an id of its own, and
// the old files are all still there.
func TestDamagedStoresAreSetAside(t *testing.T) {
	for name, c := range map[string]struct {
		pattern string
		change  func([]byte) []byte
	}{
		"manifest missing": {"MANIFEST", gone},
		"manifest empty":   {"MANIFEST", none},
		"manifest flipped": {"MANIFEST", flip(10)},
		"table cut":        {"*.sst", half},
		"table empty":      {"*.sst", none},
		"table missing":    {"*.sst", gone},
		"table footer":     {"*.sst", flip(-1)},
		"table checksum":   {"*.sst", flip(-8)},
		"table index":      {"*.sst", flip(-60)},
		"table block":      {"*.sst", flip(100)},
		"keys flipped":     {"KEYREGISTRY", flip(-1)},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(filepath.Join(t.TempDir(), "queue"))
			q := mustOpen(t, o)
			mustAppend(t, q, msg(gateway.LaneTelemetry, noise(200_000)))
			before := q.Store()
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
			spoil(t, o.Dir, c.pattern, c.change)
			left, err := os.ReadDir(o.Dir)
			if err != nil {
				t.Fatal(err)
			}
			if q, err := Open(o); !errors.Is(err, ErrDamaged) {
				if err == nil {
					_ = q.Close()
				}
				t.Fatalf("Open: %v, want ErrDamaged", err)
			}
			to, err := Quarantine(o.Dir)
			if err != nil {
				t.Fatal(err)
			}
			if kept, err := os.ReadDir(to); err != nil || len(kept) < len(left) {
				t.Errorf("%d files set aside of %d: %v", len(kept), len(left), err)
			}
			fresh := mustOpen(t, o)
			if fresh.Store() == before {
				t.Error("the new store has the id of the old one")
			}
			if ids := mustAppend(t, fresh, msg(gateway.LaneTelemetry, "new")); ids[0].Seq != 1 {
				t.Errorf("the new store begins with %s", ids[0])
			}
		})
	}
}

// TestHalfATableOfAKill is no damage: the manifest does not name it yet.
func TestHalfATableOfAKill(t *testing.T) {
	o := testOptions(t.TempDir())
	q := mustOpen(t, o)
	ids := mustAppend(t, q, msg(gateway.LaneTelemetry, noise(1000)))
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.Dir, "000099.sst"), make([]byte, 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := mustNext(t, mustOpen(t, o)); got.ID != ids[0] {
		t.Errorf("got %s, want %s", got.ID, ids[0])
	}
}

// TestAStoreInUseIsNotTouched by a second process, whatever it believes to see.
func TestAStoreInUseIsNotTouched(t *testing.T) {
	o := testOptions(t.TempDir())
	mustOpen(t, o)
	unborn := filepath.Join(o.Dir, "00099.mem")
	if err := os.WriteFile(unborn, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); !errors.Is(err, ErrLocked) {
		t.Errorf("a second Open: %v, want ErrLocked", err)
	}
	if to, err := Quarantine(o.Dir); !errors.Is(err, ErrLocked) {
		t.Errorf("Quarantine: %s, %v, want ErrLocked", to, err)
	}
	if _, err := os.Stat(unborn); err != nil {
		t.Errorf("a file of the store is gone: %v", err)
	}
}

// TestQuarantineIsBounded: the disk does not fill with damaged stores.
func TestQuarantineIsBounded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queue")
	for i := range 5 {
		if err := os.MkdirAll(filepath.Join(dir, fmt.Sprint(i)), 0o700); err != nil {
			t.Fatal(err)
		}
		to, err := Quarantine(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := (wreck{to}).end(SalvageReport{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	last, err := Quarantine(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(last); err != nil {
		t.Fatal(err)
	}
	kept, err := filepath.Glob(dir + ".damaged-*/?")
	if err != nil || len(kept) != 2 || filepath.Base(kept[0]) != "3" || filepath.Base(kept[1]) != "4" {
		t.Errorf("kept: %v (%v), want the newest two", kept, err)
	}
}

// TestTroublesOfTheMomentAreNoDamage: a store must not be set aside for them.
func TestTroublesOfTheMomentAreNoDamage(t *testing.T) {
	for _, words := range notDamage {
		if err := openError("dir", errors.New("while opening memtables err: "+words)); errors.Is(err, ErrDamaged) {
			t.Errorf("%v", err)
		}
	}
	if err := openError("dir", errors.New("Cannot acquire directory lock on \"dir\"")); !errors.Is(err, ErrLocked) || errors.Is(err, ErrDamaged) {
		t.Errorf("a lock: %v", err)
	}
}
