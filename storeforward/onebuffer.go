package storeforward

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/bits"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
)

// The engine builds a table in an allocator (ristretto's z.Allocator) that
// keeps the number of its buffer and the offset in it in one word, and moves on
// to the next buffer by int<<32. Where an int has 32 bits that is 0: it stays in
// the first buffer and begins it anew, over the blocks that are there, or loops
// for ever. So on such systems a table must fit into its first buffer, which has
// twice the table size the engine aims at, rounded up to a power of two, and is
// used again for other tables.
const narrow = bits.UintSize == 32

// maxLevelZero is how many tables may be on level 0 on a narrow system: of four
// the engine can make one, of any size.
const maxLevelZero = 3

// oneBuffer changes the options of the engine such that each table fits into
// the first buffer. In the buffer a block takes all its room, and it may be half
// empty: what is next did not fit. A table of level 0 holds a memtable and one
// transaction above it; another is ended at 95 % of the size aimed at. Both take
// more than twice a memtable, and less than four times: that is the power of two
// to have, whatever the level.
func oneBuffer(o badger.Options) badger.Options {
	o.TableSizeMultiplier = 1
	return o.WithBaseTableSize(memTableBytes * 5 / 4).WithNumLevelZeroTablesStall(maxLevelZero)
}

// openBadger opens the database.
func openBadger(o badger.Options) (*badger.DB, error) {
	if narrow {
		if err := sinkLevelZero(o); err != nil {
			return nil, err
		}
	}
	return badger.OpenManaged(o)
}

// sinkLevelZero moves the tables of level 0 down if there are too many: when
// the engine is closed it puts there what it has in memory, without a bound.
func sinkLevelZero(o badger.Options) error {
	content, _, err := readManifest(o)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a new store
	}
	if err != nil {
		return err
	}
	tables := 0
	for _, t := range content.Tables {
		if t.Level == 0 {
			tables++
		}
	}
	if tables <= maxLevelZero {
		return nil
	}
	db, err := badger.OpenManaged(o.WithNumCompactors(0).WithNumLevelZeroTablesStall(math.MaxInt))
	if err != nil {
		return err
	}
	// To drop a prefix the engine moves all of level 0 down, if there is such a key.
	version, passing := db.MaxVersion(), []byte("sink")
	db.SetDiscardTs(version)
	txn := db.NewTransactionAt(version, true)
	defer txn.Discard()
	if err = txn.Set(passing, nil); err == nil {
		err = txn.CommitAt(version+1, nil)
	}
	if err == nil {
		err = db.DropPrefix(passing)
	}
	if err == nil {
		err = checkLevelZero(db)
	}
	return errors.Join(err, db.Close())
}

// checkLevelZero says whether there is room on level 0. The engine can tell that
// it has dropped a prefix although moving the tables down has failed.
func checkLevelZero(db *badger.DB) error {
	if n := db.Levels()[0].NumTables; n > maxLevelZero {
		return fmt.Errorf("%d tables remain on level 0", n)
	}
	return nil
}

// readManifest tells which tables make up the store, and where the last whole
// record of the manifest ends.
func readManifest(o badger.Options) (content badger.Manifest, end int64, err error) {
	f, err := os.Open(filepath.Join(o.Dir, badger.ManifestFilename))
	if err != nil {
		return content, 0, err
	}
	defer func() { _ = f.Close() }()
	if content, end, err = badger.ReplayManifestFile(f, o.ExternalMagicVersion, o); err != nil {
		err = fmt.Errorf("manifest: %w", err)
	}
	return content, end, err
}
