package storeforward

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// The engine reads its logs of memtables up to the first entry that is not
// whole, takes that for the end, and cuts off what is behind it without a
// word. After a power cut that is right: what is behind was never confirmed.
// After damage in the middle it would lose what was.

// checkLogs makes sure that nothing confirmed lies behind the place where the
// engine would cut a log off. What was confirmed the witness knows.
func checkLogs(dir string, heard *testimony) error {
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return err
	}
	for _, path := range logs {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		end, sane := logEnd(data)
		if !sane {
			return fmt.Errorf("%s: entry without measure at %d: %w", filepath.Base(path), end, errDamaged)
		}
		if heard != nil && confirmedIn(data[end:], heard) {
			return fmt.Errorf("%s: damage at %d, with confirmed messages behind it: %w", filepath.Base(path), end, errDamaged)
		}
	}
	return nil
}

// confirmedIn reports whether data holds a cursor of a transaction that the
// witness was told of.
func confirmedIn(data []byte, heard *testimony) (found bool) {
	_, _ = scanBuffer(data, func(f frame, _ int) error { // the function gives no error
		found = found || f.kind == frameCursor && f.store == heard.store && f.count <= heard.commit
		return nil
	})
	return found
}

const (
	logHeader = 20 // of the file
	// Bits of an entry's first byte: it is part of a transaction; it ends one.
	logInTxn, logEndsTxn = 1 << 6, 1 << 7
)

// logEnd finds where the engine takes a log to end: behind the last transaction
// that is whole. A log is not sane if the entry there claims to be larger than
// the file, which the engine would believe and ask for as much memory.
func logEnd(data []byte) (end int, sane bool) {
	end = min(logHeader, len(data))
	for at := end; ; {
		size, meta, ok := logEntry(data[at:])
		if !ok {
			return end, size <= int64(len(data))
		}
		at += int(size)
		if meta&logInTxn == 0 || meta&logEndsTxn != 0 {
			end = at
		}
	}
}

// logEntry measures the entry that data begins with, and says whether it is
// whole: two bytes of flags, lengths of key and value and expiry as uvarints,
// key, value, and a CRC-32C of all that, big endian.
func logEntry(data []byte) (size int64, meta byte, ok bool) {
	if len(data) < 2 {
		return 0, 0, false
	}
	at := 2
	var fields [3]uint64
	for i := range fields {
		v, n := binary.Uvarint(data[at:])
		if n <= 0 {
			return 0, 0, false
		}
		fields[i] = v
		at += n
	}
	key, value := uint64(uint32(fields[0])), uint64(uint32(fields[1]))
	if key == 0 {
		return 0, 0, false
	}
	size = int64(uint64(at) + key + value + crc32.Size) // where an int has 32 bits it does not fit
	if size > int64(len(data)) {
		return size, 0, false
	}
	sum := crc32.Checksum(data[:size-crc32.Size], castagnoli)
	return size, data[0], sum == binary.BigEndian.Uint32(data[size-crc32.Size:])
}
