package storeforward

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

func newCodec(t testing.TB, key string) (*packer, *unpacker) {
	t.Helper()
	sealer, err := newSealer([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	p, err1 := newPacker(sealer)
	u, err2 := newUnpacker(sealer)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return p, u
}

// testKey encrypts.
const testKey = "0123456789abcdef"

// packed makes a chunk that begins at sequence number 7.
func packed(p *packer, list []gateway.Message) frame {
	var records []byte
	for _, m := range list {
		records = appendRecord(records, m)
	}
	f := frame{kind: frameChunk, store: "0011aabbccdd", lane: 3, epoch: 2, first: 7, count: uint32(len(list))}
	return p.pack(nil, f, stamp{wall: 1, boot: 2, uptime: time.Second}, records)
}

// busySecond is what a second of a busy board makes.
func busySecond(n int) (list []gateway.Message) {
	for i := range n {
		body := fmt.Sprintf(`{"v":1,"readings":[{"device":"air","name":"temperature","value":%d.%d,"unit":"Cel","time":"2026-11-24T12:00:%02d.%03dZ"},`+
			`{"device":"air","name":"humidity","value":%d.%d,"unit":"%%RH","time":"2026-11-24T12:00:%02d.%03dZ"}]}`,
			20+i%3, i*7%10, i%60, i*37%1000, 40+i%7, i*3%10, i%60, i*37%1000)
		list = append(list, msg(gateway.LaneTelemetry, body))
	}
	return list
}

func TestChunksShrinkWhereThatPays(t *testing.T) {
	for _, key := range []string{"", testKey} {
		for name, c := range map[string]struct {
			list  []gateway.Message
			codec byte
		}{
			"telemetry": {busySecond(100), codecZstd},
			"noise":     {[]gateway.Message{msg(gateway.LaneTelemetry, noise(20_000))}, codecRaw},
			"small":     {[]gateway.Message{msg(gateway.LaneTelemetry, "aaaaaaaaaaaaaaaaaaaaaaaaaaa")}, codecRaw},
			"largest":   {[]gateway.Message{msg(gateway.LaneTelemetry, strings.Repeat("x", MaxBodyBytes))}, codecZstd},
		} {
			p, u := newCodec(t, key)
			f := packed(p, c.list)
			if f.codec&^codecSealed != c.codec || (f.codec&codecSealed != 0) != (key != "") {
				t.Errorf("%s: codec %x, want %x", name, f.codec, c.codec)
			}
			plain := 0
			for _, m := range c.list {
				plain += len(m.Body)
			}
			if c.codec == codecZstd && len(f.payload)*5 > plain {
				t.Errorf("%s: %d bytes of %d", name, len(f.payload), plain)
			}
			w, err := u.chunk(f.encode())
			if err != nil || w.first != 7 || len(w.messages) != len(c.list) || w.stamp.uptime != time.Second {
				t.Fatalf("%s: %d messages back of %d: %v", name, len(w.messages), len(c.list), err)
			}
			for i, m := range c.list {
				if string(w.messages[i].Body) != string(m.Body) || !w.messages[i].Created.Equal(m.Created) {
					t.Fatalf("%s: message %d comes back as %+v", name, i, w.messages[i])
				}
			}
		}
	}
}

// TestDamagedChunksAreNoticed at each byte; what stands before the damage is
// still read if it is not compressed.
func TestDamagedChunksAreNoticed(t *testing.T) {
	for _, key := range []string{"", testKey} {
		p, u := newCodec(t, key)
		for _, n := range []int{1, 20} {
			whole := packed(p, busySecond(n)).encode()
			for i := range whole {
				damaged := bytes.Clone(whole)
				damaged[i] ^= 0x10
				if w, err := u.chunk(damaged); !errors.Is(err, errDamaged) {
					t.Errorf("byte %d flipped: %d messages and %v", i, len(w.messages), err)
				}
				if _, err := u.chunk(whole[:i]); !errors.Is(err, errDamaged) {
					t.Errorf("cut after %d bytes: %v", i, err)
				}
			}
		}
	}
}

// FuzzChunk: no payload makes it panic, nor expand beyond the bound, not even
// with checksums that are right.
func FuzzChunk(f *testing.F) {
	p, u := newCodec(f, "")
	c := packed(p, busySecond(3))
	f.Add(c.codec, uint32(3), c.payload)
	f.Add(byte(codecRaw), uint32(1), []byte{1, 2, 3})
	f.Add(byte(codecZstd), uint32(1), []byte{0, 0, 0, 0xff, 0xff, 0x03, 0x28, 0xb5, 0x2f, 0xfd})
	f.Fuzz(func(t *testing.T, codec byte, count uint32, payload []byte) {
		w, err := u.chunk(frame{kind: frameChunk, codec: codec, store: "0011aabbccdd", first: 1, count: count, payload: payload}.encode())
		if err != nil && !errors.Is(err, errDamaged) && !errors.Is(err, ErrKey) {
			t.Errorf("%v does not wrap errDamaged", err)
		}
		if err == nil && len(w.messages) != int(count) {
			t.Errorf("%d messages of %d", len(w.messages), count)
		}
	})
}

// FuzzDecodeFrame: what decodes encodes to the same bytes.
func FuzzDecodeFrame(f *testing.F) {
	f.Add(frame{kind: frameCursor, store: "0011aabbccdd", payload: []byte("x")}.encode())
	f.Add([]byte(frameMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		fr, err := decodeFrame(data)
		if err != nil {
			return
		}
		if again := fr.encode(); !bytes.HasPrefix(data, again) {
			t.Errorf("%+v encodes to other bytes", fr)
		}
	})
}

// TestWhatDoesNotShrinkIsSeldomTried, lane by lane; once it shrinks again it is
// compressed at once.
func TestWhatDoesNotShrinkIsSeldomTried(t *testing.T) {
	p, _ := newCodec(t, "")
	pack := func(lane uint8, body string) byte {
		records := appendRecord(nil, msg(gateway.LaneTelemetry, body))
		return p.pack(nil, frame{kind: frameChunk, store: "0011aabbccdd", lane: lane, first: 1, count: 1}, stamp{}, records).codec
	}
	tries := func(n int) (tried int) {
		for range n {
			if p.dull[1].rest == 0 {
				tried++
			}
			if c := pack(1, noise(2000)); c != codecRaw {
				t.Fatalf("noise has codec %d", c)
			}
		}
		return tried
	}
	if n := tries(1 + 1 + 1 + 3 + 1 + 7); n != 3 {
		t.Errorf("%d tries at the beginning, want 3", n)
	}
	tries(200)
	if n := tries(10 * (dullMost + 1)); n != 10 {
		t.Errorf("%d tries later, want 10", n)
	}
	plain := strings.Repeat("plain ", 400)
	if c := pack(2, plain); c != codecZstd {
		t.Errorf("another lane suffers: codec %d", c)
	}
	waited := 0
	for pack(1, plain) != codecZstd {
		if waited++; waited > dullMost {
			t.Fatal("never tried again")
		}
	}
	if c := pack(1, plain); c != codecZstd {
		t.Errorf("codec %d after one that shrank", c)
	}
}

// TestAChunkThatClaimsBillionsOfMessages, more than an int has on 32 bits.
func TestAChunkThatClaimsBillionsOfMessages(t *testing.T) {
	p, err := newPacker(nil)
	if err != nil {
		t.Fatal(err)
	}
	u, err := newUnpacker(nil)
	if err != nil {
		t.Fatal(err)
	}
	f := frame{kind: frameChunk, store: "0123456789ab", lane: 1, epoch: 1, first: 1, count: 1<<31 + 1}
	f = p.pack(nil, f, stamp{}, appendRecord(nil, msg(gateway.LaneTelemetry, "one")))
	if w, err := u.unpack(f); !errors.Is(err, errDamaged) || len(w.messages) != 1 {
		t.Errorf("%d messages, %v", len(w.messages), err)
	}
}
