package storeforward

import (
	"encoding/binary"
	"math"
	"slices"
)

// Key prefixes; see the package document for the layout.
const (
	metaPrefix    = 'm'
	queuePrefix   = 'q'
	journalPrefix = 'j'
	gapPrefix     = 'g'
)

// cursorSeq sorts behind every chunk of its epoch.
const cursorSeq = math.MaxUint64

var storeKey = []byte{metaPrefix, 's'}

// lanesPrefix is what the keys of all lanes begin with.
var lanesPrefix = []byte{metaPrefix, 'l'}

// laneKey holds the name of the lane with this number.
func laneKey(number uint8) []byte { return append(slices.Clone(lanesPrefix), number) }

// gapKey holds the last loss of a lane, while it may still grow.
func gapKey(number uint8) []byte { return []byte{gapPrefix, number} }

func lanePrefix(lane uint8) []byte { return []byte{queuePrefix, lane} }

func epochPrefix(lane uint8, epoch uint32) []byte {
	return binary.BigEndian.AppendUint32(lanePrefix(lane), epoch)
}

func chunkKey(lane uint8, epoch uint32, first uint64) []byte {
	return binary.BigEndian.AppendUint64(epochPrefix(lane, epoch), first)
}

func cursorKey(lane uint8, epoch uint32) []byte { return chunkKey(lane, epoch, cursorSeq) }

// parseChunkKey returns the epoch and first sequence number of a chunk or cursor key.
func parseChunkKey(key []byte) (epoch uint32, first uint64, ok bool) {
	if len(key) != 14 || key[0] != queuePrefix {
		return 0, 0, false
	}
	return binary.BigEndian.Uint32(key[2:]), binary.BigEndian.Uint64(key[6:]), true
}

func journalKey(arrival uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{journalPrefix}, arrival)
}
