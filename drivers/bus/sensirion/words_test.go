package sensirion

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestWords(t *testing.T) {
	// The example of the data sheet, and what SHT3x and SCD4x data sheets show.
	answer := []byte{0xbe, 0xef, 0x92, 0x00, 0x00, 0x81, 0xff, 0xff, 0xac}
	words, err := Words(answer)
	if err != nil || !slices.Equal(words, []uint16{0xbeef, 0, 0xffff}) {
		t.Errorf("%x (%v)", words, err)
	}
	if got := Append([]byte{0x24}, words...); !bytes.Equal(got[1:], answer) || got[0] != 0x24 {
		t.Errorf("appended: % x", got)
	}
	for bit := range len(answer) * 8 {
		wrong := slices.Clone(answer)
		wrong[bit/8] ^= 1 << (bit % 8)
		if _, err := Words(wrong); !errors.Is(err, gateway.ErrInvalid) || Sound(wrong) {
			t.Errorf("bit %d: %v", bit, err)
		}
	}
	answer[5]++
	if _, err := Words(answer); err == nil || !strings.Contains(err.Error(), "word 2 is wrong (0000 has 0x82, want 0x81)") {
		t.Error(err)
	}
	for _, none := range [][]byte{nil, {}, {0xbe}, {0xbe, 0xef}, {0xbe, 0xef, 0x92, 0}} {
		if Sound(none) {
			t.Errorf("% x is sound", none)
		}
	}
}

func FuzzWords(f *testing.F) {
	f.Add([]byte{0xbe, 0xef, 0x92, 0x00, 0x00, 0x81})
	f.Add([]byte{1, 2})
	f.Fuzz(func(t *testing.T, answer []byte) {
		words, err := Words(answer)
		if err == nil && !bytes.Equal(Append(nil, words...), answer) {
			t.Errorf("% x becomes %x and % x", answer, words, Append(nil, words...))
		}
	})
}
