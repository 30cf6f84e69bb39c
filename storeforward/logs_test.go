package storeforward

import (
	"encoding/binary"
	"testing"
)

// TestAnEntryThatClaimsGigabytesIsNotSane, nor one whose length wraps round
// where an int has 32 bits.
func TestAnEntryThatClaimsGigabytesIsNotSane(t *testing.T) {
	for _, lengths := range [][2]uint64{
		{1 << 31, 1<<31 - 25}, {1<<32 - 1, 30}, {1, 1<<32 - 1}, {1<<32 - 1, 1<<32 - 1}, {1, 1<<31 - 10},
	} {
		log := make([]byte, logHeader, 100)
		log = append(log, 0, 0)
		log = binary.AppendUvarint(log, lengths[0])
		log = binary.AppendUvarint(log, lengths[1])
		log = append(log, make([]byte, 40)...)
		if end, sane := logEnd(log); sane || end != logHeader {
			t.Errorf("lengths %d: end %d, sane %v", lengths, end, sane)
		}
	}
}
