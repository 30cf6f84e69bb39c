package storeforward

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"github.com/dgraph-io/ristretto/v2/z"

	"github.com/fieldpost/fieldpost/gateway"
)

// TestATableFitsIntoOneBuffer: the largest that the engine can make, whatever
// the size of what is in it.
func TestATableFitsIntoOneBuffer(t *testing.T) {
	largest := frameHeader + maxPayload
	sizes := map[string]func(i int) int{
		"largest":         func(int) int { return largest },
		"small and large": func(i int) int { return []int{1, largest}[i%2] },
		"small":           func(int) int { return 100 },
	}
	for n := 2; n <= 16; n++ { // so large that n just do not fit into a block
		sizes[fmt.Sprintf("%d too many", n)] = func(int) int { return blockBytes / n }
	}
	o := oneBuffer(engineOptions(testOptions(t.TempDir())))
	for name, size := range sizes {
		t.Run(name, func(t *testing.T) {
			memtable, batch := int(o.MemTableSize), int(o.MemTableSize)*15/100
			buildTable(t, o, size, memtable+batch, false)
			buildTable(t, o, size, math.MaxInt, true)
		})
	}
}

// buildTable adds values up to a sum of their sizes, or until the table has the
// size that the engine aims at.
func buildTable(t *testing.T, o badger.Options, size func(i int) int, most int, untilReached bool) {
	t.Helper()
	opts := table.Options{
		TableSize: uint64(o.BaseTableSize), BlockSize: o.BlockSize,
		BloomFalsePositive: o.BloomFalsePositive, Compression: options.None,
	}
	before := z.NewAllocator(1, "before the builder's")
	defer before.Release()
	b := table.NewTableBuilder(opts)
	defer b.Close()
	n := 0
	for sum := 0; ; n++ {
		value := make([]byte, size(n))
		if sum += len(value); sum > most || untilReached && b.ReachedCapacity() {
			break
		}
		if len(value) >= 8 {
			binary.BigEndian.PutUint64(value[len(value)-8:], uint64(n))
		}
		b.Add(y.KeyWithTs(chunkKey(1, 1, uint64(n)), uint64(n)), y.ValueStruct{Value: value}, 0)
	}
	data := b.Finish()
	if room := z.AllocatorFrom(before.Ref + 1).Allocated(); room != 4*memTableBytes {
		t.Fatalf("%d values, %d bytes: built in %d bytes of memory, want one buffer of %d", n, len(data), room, 4*memTableBytes)
	}
	built, err := table.OpenInMemoryTable(data, 1, &opts)
	if err != nil {
		t.Fatal(err)
	}
	it := built.NewIterator(0)
	defer it.Close()
	i := 0
	for it.Rewind(); it.Valid(); it.Next() {
		v := it.Value().Value
		if string(y.ParseKey(it.Key())) != string(chunkKey(1, 1, uint64(i))) || len(v) >= 8 && binary.BigEndian.Uint64(v[len(v)-8:]) != uint64(i) {
			t.Fatalf("value %d of %d is another", i, n)
		}
		i++
	}
	if i != n {
		t.Errorf("%d values can be read of %d", i, n)
	}
}

// TestLevelZeroIsSunk: four tables there could become one that does not fit into
// a buffer.
func TestLevelZeroIsSunk(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	o.Log = slog.New(slog.DiscardHandler)
	if err := os.Mkdir(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	crowded := engineOptions(o).WithNumCompactors(0).WithNumLevelZeroTablesStall(100)
	const tables, values = 6, 10
	value := make([]byte, blockBytes/2)
	key := func(i int) []byte { return chunkKey(1, 1, uint64(i)) }
	for i := range tables {
		db := mustOpenBadger(t, crowded)
		for j := range values {
			txn := db.NewTransactionAt(db.MaxVersion(), true)
			if err := errors.Join(txn.Set(key(i*values+j), value), txn.CommitAt(uint64(i*values+j+1), nil)); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	narrowOptions := oneBuffer(engineOptions(o))
	if err := sinkLevelZero(narrowOptions); err != nil {
		t.Fatal(err)
	}
	db := mustOpenBadger(t, narrowOptions.WithNumCompactors(0))
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	levels := db.Levels()
	if n, below := levels[0].NumTables, levels[len(levels)-1].NumTables; n > 0 || below == 0 {
		t.Errorf("%d tables on level 0, %d on the last", n, below)
	}
	err := db.View(func(txn *badger.Txn) error {
		for i := range tables * values {
			if item, err := txn.Get(key(i)); err != nil || item.ValueSize() != int64(len(value)) {
				t.Errorf("value %d: %v", i, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := checkLevelZero(db); err != nil {
		t.Error(err)
	}
}

func mustOpenBadger(t *testing.T, o badger.Options) *badger.DB {
	t.Helper()
	db, err := badger.OpenManaged(o)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// TestMessagesThatFillHalfABlock go through the engine whole, at a speed that
// keeps its compactions busy.
func TestMessagesThatFillHalfABlock(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	q := mustOpen(t, o)
	const n = 80
	body := func(i int) string {
		r := rand.New(rand.NewPCG(uint64(i), 1))
		data := make([]byte, blockBytes/2+r.IntN(4<<10))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		return string(data)
	}
	for i := range n {
		mustAppend(t, q, msg(gateway.LaneAlerts, body(i)))
	}
	mustClose(t, q)
	if err := checkTables(engineOptions(o), true); err != nil {
		t.Error(err)
	}
	q = mustOpen(t, o)
	for i := range n {
		m := mustNext(t, q)
		if m.ID.Seq != uint64(i+1) || string(m.Body) != body(i) {
			t.Fatalf("%s is another, want %d", m.ID, i+1)
		}
	}
}
