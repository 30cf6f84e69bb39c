package storeforward

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// checkTables reads what the engine reads of each table when it opens: the
// footer, the index and the last block. Where those are damaged the engine
// panics on a goroutine of its own, which nobody can catch, at each start.
// Tables that the manifest does not name are what a kill has left of a
// compaction; the engine removes them, see checkCut. If whole is set, every
// block is read.
func checkTables(opts badger.Options, whole bool) error {
	content, end, err := readManifest(opts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a new store
	}
	if err != nil {
		return err
	}
	if err := checkCut(opts.Dir, content, end); err != nil {
		return err
	}
	for id := range content.Tables {
		if err := checkTable(table.NewFilename(id, opts.Dir), whole); err != nil {
			return fmt.Errorf("table %s: %w", table.IDToFilename(id), err)
		}
	}
	return nil
}

// checkCut looks at a manifest whose last record is not whole, which the engine
// cuts off: after a kill in the midst of writing that is right, but if there is
// a sound table that it no longer names, the engine would delete that.
func checkCut(dir string, content badger.Manifest, end int64) error {
	info, err := os.Stat(filepath.Join(dir, badger.ManifestFilename))
	if err != nil || info.Size() == end {
		return err
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		id, ok := table.ParseFileID(path)
		if _, named := content.Tables[id]; ok && !named && checkTable(path, true) == nil {
			return fmt.Errorf("manifest cut short, it does not name %s: %w", filepath.Base(path), errDamaged)
		}
	}
	return nil
}

// checkTable reads one table. What the index itself panics on is damage.
func checkTable(path string, whole bool) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("index: %v: %w", p, errDamaged)
		}
	}()
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	t := tail{file: f, left: info.Size()}
	sum := t.checksum()
	data := t.cut(int64(t.length()))
	if t.err != nil {
		return t.err
	}
	if len(data) == 0 {
		return fmt.Errorf("no index: %w", errDamaged)
	}
	if err := verify(data, sum); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	index := fb.GetRootAsTableIndex(data, 0)
	last := index.OffsetsLength() - 1
	if last < 0 {
		return fmt.Errorf("index without a block: %w", errDamaged)
	}
	if index.MaxVersion() > maxVersion {
		return fmt.Errorf("index: version %d: %w", index.MaxVersion(), errDamaged)
	}
	first := last
	if whole {
		first = 0
	}
	var key []byte
	for i := first; i <= last; i++ {
		var block fb.BlockOffset
		if !index.Offsets(&block, i) || int64(block.Offset())+int64(block.Len()) > t.left {
			return fmt.Errorf("index: block %d: %w", i, errDamaged)
		}
		if key, err = checkBlock(f, int64(block.Offset()), int64(block.Len()), key); err != nil {
			return fmt.Errorf("block %d of %d: %w", i+1, last+1, err)
		}
	}
	return nil
}

// checkBlock reads a block: data, then its checksum and the length of that. It
// returns the last key; all have to lie behind the one given.
func checkBlock(f io.ReaderAt, offset, size int64, previous []byte) (last []byte, err error) {
	t := tail{file: io.NewSectionReader(f, offset, size), left: size}
	sum := t.checksum()
	data := t.cut(t.left)
	if t.err != nil {
		return nil, t.err
	}
	if err := verify(data, sum); err != nil {
		return nil, err
	}
	return checkKeys(data, previous)
}

// tail reads a file from its end to its beginning, until the first error.
type tail struct {
	file io.ReaderAt
	left int64
	err  error
}

func (t *tail) cut(n int64) []byte {
	if t.err == nil && (n < 0 || n > t.left) {
		t.err = fmt.Errorf("%d bytes wanted of %d: %w", n, t.left, errDamaged)
	}
	if t.err != nil {
		return nil
	}
	t.left -= n
	data := make([]byte, n)
	if _, err := t.file.ReadAt(data, t.left); err != nil && !errors.Is(err, io.EOF) {
		t.err = err
	}
	return data
}

// length reads four bytes, big endian.
func (t *tail) length() uint32 {
	data := t.cut(4)
	if t.err != nil {
		return 0
	}
	return binary.BigEndian.Uint32(data)
}

// checksum reads a checksum with its length behind it.
func (t *tail) checksum() *pb.Checksum {
	sum := &pb.Checksum{}
	data := t.cut(int64(t.length()))
	if t.err == nil {
		if err := proto.Unmarshal(data, sum); err != nil {
			t.err = fmt.Errorf("checksum: %w: %w", err, errDamaged)
		}
	}
	return sum
}

func verify(data []byte, sum *pb.Checksum) error {
	if sum.Algo != pb.Checksum_CRC32C && sum.Algo != pb.Checksum_XXHash64 {
		return fmt.Errorf("checksum of kind %d: %w", sum.Algo, errDamaged) // which the engine panics on
	}
	if err := y.VerifyChecksum(data, sum); err != nil {
		return fmt.Errorf("%w: %w", err, errDamaged)
	}
	return nil
}
