package main

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/scripts/board"
)

// question lays out a transfer: the chip's pointer is written, then two bytes
// are read, as i2c-hil does.
func question(address uint16) []byte {
	q := binary.NativeEndian.AppendUint32(nil, 7)
	for _, v := range []uint16{2, address, 0, 1} {
		q = binary.NativeEndian.AppendUint16(q, v)
	}
	q = append(q, 0)
	for _, v := range []uint16{address, 1, 2} {
		q = binary.NativeEndian.AppendUint16(q, v)
	}
	return q
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name    string
		address uint16
		faults  map[uint16]string
		result  unix.Errno
		body    []byte
		stuck   bool
	}{
		{name: "measured", address: 0x48, body: []byte{0x19, 0x80}},
		{name: "nobody there", address: 0x49, result: unix.EREMOTEIO, body: []byte{0, 0}},
		{name: "taken away", address: 0x48, faults: map[uint16]string{0x48: board.NoAnswer}, result: unix.EREMOTEIO, body: []byte{0, 0}},
		{name: "another is taken away", address: 0x48, faults: map[uint16]string{0x49: board.NoAnswer}, body: []byte{0x19, 0x80}},
		{name: "whole bus stuck", address: 0x48, faults: map[uint16]string{0: board.Stuck}, stuck: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &bus{chips: map[uint16]i2csim.Chip{0x48: &lm75{temperature: 0x1980}}, faults: c.faults}
			answer, err := b.answer(question(c.address))
			if err != nil {
				t.Fatal(err)
			}
			want := binary.NativeEndian.AppendUint32(nil, 7)
			want = binary.NativeEndian.AppendUint32(want, uint32(-int32(c.result)))
			want = append(want, c.body...)
			if c.stuck {
				want = nil
			}
			if !bytes.Equal(answer, want) {
				t.Errorf("answer % x, want % x", answer, want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(question(0x48))
	f.Add(question(0x48)[:9])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, q []byte) {
		messages, err := parse(q)
		if err != nil {
			return
		}
		for _, m := range messages {
			if !m.read && len(m.body) > len(q) {
				t.Errorf("a body of %d bytes out of %d", len(m.body), len(q))
			}
		}
	})
}
