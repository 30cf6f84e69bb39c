package storeforward

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"

	"github.com/fieldpost/fieldpost/gateway"
)

// entry is one of a table, its key with the version.
type entry struct{ key, value []byte }

// tableOf is the only table of a closed store.
func tableOf(t *testing.T, dir string) (path string, entries []entry) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("tables: %v (%v)", paths, err)
	}
	data, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	opened, err := table.OpenInMemoryTable(data, 1, &table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	it := opened.NewIterator(0)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		entries = append(entries, entry{y.Copy(it.Key()), y.Copy(it.Value().Value)})
	}
	return paths[0], entries
}

// rebuild makes a table of entries, with checksums that are right.
func rebuild(t *testing.T, path string, entries []entry) {
	t.Helper()
	b := table.NewTableBuilder(table.Options{TableSize: memTableBytes, BlockSize: 64 << 10})
	defer b.Close()
	for _, e := range entries {
		b.Add(e.key, y.ValueStruct{Value: e.value}, 0)
	}
	if err := os.WriteFile(path, b.Finish(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestWhatACompactionHasMadeOfDamageIsFound: its checksums are right, but not
// what is in it.
func TestWhatACompactionHasMadeOfDamageIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		change func(entries []entry)
		always bool // found at each start
	}{
		"sound":       {change: func([]entry) {}},
		"no key":      {change: func(e []entry) { e[5].key = y.KeyWithTs(nil, 5) }},
		"zeroed key":  {change: func(e []entry) { clear(e[5].key[:len(e[5].key)-versionBytes]) }},
		"twice":       {change: func(e []entry) { e[5] = e[4] }},
		"order":       {change: func(e []entry) { e[5], e[6] = e[6], e[5] }},
		"no version":  {change: func(e []entry) { clear(e[5].key[len(e[5].key)-versionBytes:]) }, always: true},
		"last of all": {change: func(e []entry) { e[len(e)-1].key = y.KeyWithTs(nil, 5) }, always: true},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(filepath.Join(t.TempDir(), "queue"))
			q := mustOpen(t, o)
			for range 20 {
				mustAppend(t, q, msg(gateway.LaneTelemetry, noise(20_000)))
			}
			mustClose(t, q)
			path, entries := tableOf(t, o.Dir)
			c.change(entries)
			rebuild(t, path, entries)
			if err := checkTable(path, false); (err != nil) != c.always || c.always && !errors.Is(err, errDamaged) {
				t.Errorf("at each start: %v", err)
			}
			for range maxDeaths {
				if err := countRun(witnessPath(o.Dir), 1); err != nil {
					t.Fatal(err)
				}
			}
			q, err := Open(o)
			if err == nil {
				mustClose(t, q)
			}
			if sound := name == "sound"; sound && err != nil || !sound && !errors.Is(err, ErrDamaged) {
				t.Errorf("read through: %v", err)
			}
		})
	}
}

// FuzzCheckKeys: whatever a block holds, it is judged without a panic.
func FuzzCheckKeys(f *testing.F) {
	block := func(n uint32, rest ...byte) []byte { return binary.BigEndian.AppendUint32(rest, n) }
	key := []byte{0, 0, 9, 0, 'k', 255, 255, 255, 255, 255, 255, 255, 254}
	f.Add(block(1, append(key, 0, 0, 0, 0)...), []byte(nil))
	f.Add(block(1<<31), []byte("previous"))
	f.Add([]byte{}, []byte(nil))
	f.Fuzz(func(t *testing.T, block, previous []byte) {
		if len(previous) <= versionBytes {
			previous = nil
		}
		last, err := checkKeys(block, previous)
		if err != nil {
			if !errors.Is(err, errDamaged) {
				t.Errorf("%v is no damage", err)
			}
			return
		}
		if previous != nil && y.CompareKeys(previous, last) >= 0 {
			t.Errorf("%x is taken to lie behind %x", last, previous)
		}
	})
}
