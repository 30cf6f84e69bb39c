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
// compaction; the engine removes them.
func checkTables(opts badger.Options) error {
	manifest, err := os.Open(filepath.Join(opts.Dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a new store
	}
	if err != nil {
		return err
	}
	defer func() { _ = manifest.Close() }()
	content, _, err := badger.ReplayManifestFile(manifest, opts.ExternalMagicVersion, opts)
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	for id := range content.Tables {
		if err := checkTable(table.NewFilename(id, opts.Dir)); err != nil {
			return fmt.Errorf("table %s: %w", table.IDToFilename(id), err)
		}
	}
	return nil
}

func checkTable(path string) error {
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
	if err := verify(data, sum); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	index := fb.GetRootAsTableIndex(data, 0)
	last := index.OffsetsLength() - 1
	var block fb.BlockOffset
	if last < 0 || !index.Offsets(&block, last) || int64(block.Offset())+int64(block.Len()) > t.left {
		return fmt.Errorf("index without a last block: %w", errDamaged)
	}
	return checkBlock(f, int64(block.Offset()), int64(block.Len()))
}

// checkBlock reads a block: data, then its checksum and the length of that.
func checkBlock(f io.ReaderAt, offset, size int64) error {
	t := tail{file: io.NewSectionReader(f, offset, size), left: size}
	sum := t.checksum()
	data := t.cut(t.left)
	if t.err != nil {
		return t.err
	}
	if err := verify(data, sum); err != nil {
		return fmt.Errorf("last block: %w", err)
	}
	return nil
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
