package drivertest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
)

const record = `# two chips
i2c-1 0x48 w 01c383 r - 350µs
i2c-1 0x76 w d0 r 60 412µs

i2c-1 0x48 w 00 r 66c0 412µs
i2c-1 0x76 w f7 r xxxx 1.2ms no answer: unavailable
i2c-3 0x76 w d0 r 58 1ms
`

// TestReplay goes once round: recorded by the buses, written, read, played, and
// recorded again.
func TestReplay(t *testing.T) {
	all, err := ParseRecord(strings.NewReader(record))
	if err != nil {
		t.Fatal(err)
	}
	var again strings.Builder
	replay := NewReplay("i2c-1", all)
	set := bus.New(bus.Options{
		Hardware: bus.Hardware{I2C: func(int) (i2c.BusCloser, error) { return replay, nil }},
		Record:   func(tx bus.Transaction) { tx.Took = time.Millisecond; fmt.Fprintln(&again, tx) },
	})
	b, err := set.I2C("i2c-1")
	if err != nil {
		t.Fatal(err)
	}
	r := make([]byte, 2)
	if err := errors.Join(b.Tx(0x76, []byte{0xd0}, r[:1]), b.Tx(0x48, []byte{1, 0xc3, 0x83}, nil)); err != nil || r[0] != 0x60 {
		t.Errorf("%x %v", r, err)
	}
	if err := b.Tx(0x48, []byte{1}, r); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("another question than on record: %v", err)
	}
	if left := replay.Left(); len(left) != 2 {
		t.Errorf("left: %v", left)
	}
	if err := b.Tx(0x48, []byte{0}, r); err != nil || r[0] != 0x66 || r[1] != 0xc0 {
		t.Errorf("%x %v", r, err)
	}
	if err := b.Tx(0x76, []byte{0xf7}, r); !errors.Is(err, bus.ErrNoAnswer) {
		t.Errorf("a recorded error: %v", err)
	}
	if err := b.Tx(0x76, []byte{0xf7}, r); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("beyond the end: %v", err)
	}
	second, err := ParseRecord(strings.NewReader(again.String()))
	if err != nil || len(second) != 6 || second[3].String() != "i2c-1 0x48 w 00 r 66c0 1ms" ||
		second[4].String() != "i2c-1 0x76 w f7 r xxxx 1ms no answer: unavailable" {
		t.Errorf("recorded again: %v %v", second, err)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add(record)
	f.Add("i2c-1 0x48 w 01c383 r - 350µs\r\n")
	f.Add("spi-0 cs0 w 0180 r fe7f 1ms")
	f.Add("i2c-1 0x48 w 0 r zz 1")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseRecord(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, one := range all {
			again, err := parseTransaction(one.String())
			if err != nil || again.String() != one.String() {
				t.Fatalf("%q is read back as %q: %v", one, again, err)
			}
		}
	})
}
