package storeforward

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4/y"
)

// A block of a table has a sound checksum also if it was built of what the
// engine had read in a damaged one: it does not look at the checksums of what it
// compacts. So the keys in it are looked at too.

// maxVersion bounds the versions of keys: the engine counts on from the largest
// that it finds, and at 2^64 it would begin anew.
const maxVersion = 1 << 62

// versionBytes is the end of each key in a table.
const versionBytes = 8

// checkKeys makes sure that the keys of a block, and all behind the one given,
// are such as the engine can have written, and in order. It returns the last.
//
//	entries
//	where each begins    4 bytes each, little endian
//	how many there are   4 bytes, big endian
//
// An entry is the length of what its key has in common with the first key of
// the block, and that of the rest, 2 bytes each, little endian; the rest, and
// the value.
func checkKeys(block, previous []byte) (last []byte, err error) {
	if len(block) < 4 {
		return nil, fmt.Errorf("block of %d bytes: %w", len(block), errDamaged)
	}
	n := int64(binary.BigEndian.Uint32(block[len(block)-4:]))
	end := int64(len(block)) - 4 - 4*n
	if n == 0 || end < 0 {
		return nil, fmt.Errorf("block of %d entries in %d bytes: %w", n, len(block), errDamaged)
	}
	entries, starts := block[:end], block[end:]
	var first, key []byte
	for i := range n {
		if first, key, err = entryKey(entries, int64(binary.LittleEndian.Uint32(starts[4*i:])), first); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
		if err := checkKey(key); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
		if previous != nil && y.CompareKeys(previous, key) >= 0 {
			return nil, fmt.Errorf("entry %d: key %x behind %x: %w", i, key, previous, errDamaged)
		}
		previous = key
	}
	return previous, nil
}

// entryKey reads the key of the entry at a place. Of the first entry of a block
// it is the first key, to which the other ones refer.
func entryKey(entries []byte, at int64, first []byte) (base, key []byte, err error) {
	if at < 0 || at+4 > int64(len(entries)) {
		return nil, nil, fmt.Errorf("at %d of %d bytes: %w", at, len(entries), errDamaged)
	}
	common := int64(binary.LittleEndian.Uint16(entries[at:]))
	rest := int64(binary.LittleEndian.Uint16(entries[at+2:]))
	if common > int64(len(first)) || at+4+rest > int64(len(entries)) {
		return nil, nil, fmt.Errorf("key of %d and %d bytes: %w", common, rest, errDamaged)
	}
	key = bytes.Join([][]byte{first[:common], entries[at+4 : at+4+rest]}, nil)
	if first == nil {
		first = key
	}
	return first, key, nil
}

// checkKey checks a key by itself: one that is too short the engine dies of.
func checkKey(key []byte) error {
	if len(key) <= versionBytes || y.ParseTs(key) > maxVersion {
		return fmt.Errorf("key %x: %w", key, errDamaged)
	}
	return nil
}
