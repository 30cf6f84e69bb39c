package storeforward

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

func newCodec(t testing.TB) (*packer, *unpacker) {
	t.Helper()
	p, err1 := newPacker()
	u, err2 := newUnpacker()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return p, u
}

// telemetryChunk is what a second of a busy board makes.
func telemetryChunk(n int) []byte {
	var chunk []byte
	for i := range n {
		body := fmt.Sprintf(`{"v":1,"readings":[{"device":"air","name":"temperature","value":%d.%d,"unit":"Cel","time":"2026-11-24T12:00:%02d.%03dZ"},`+
			`{"device":"air","name":"humidity","value":%d.%d,"unit":"%%RH","time":"2026-11-24T12:00:%02d.%03dZ"}]}`,
			20+i%3, i*7%10, i%60, i*37%1000, 40+i%7, i*3%10, i%60, i*37%1000)
		chunk = appendRecord(chunk, record{message: msg(gateway.LaneTelemetry, body)})
	}
	return chunk
}

func TestChunksShrinkWhereThatPays(t *testing.T) {
	p, u := newCodec(t)
	noise := make([]byte, 20_000)
	_, _ = rand.Read(noise)
	for name, c := range map[string]struct {
		records []byte
		codec   byte
	}{
		"telemetry": {telemetryChunk(100), chunkZstd},
		"noise":     {noise, chunkRaw},
		"small":     {[]byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), chunkRaw},
		"largest":   {bytes.Repeat([]byte("x"), maxUnpacked), chunkZstd},
	} {
		packed := p.pack(c.records)
		if packed[0] != c.codec {
			t.Errorf("%s: codec %d, want %d", name, packed[0], c.codec)
		}
		if c.codec == chunkZstd && len(packed)*5 > len(c.records) {
			t.Errorf("%s: %d bytes of %d", name, len(packed), len(c.records))
		}
		got, err := u.unpack(packed)
		if err != nil || !bytes.Equal(got, c.records) {
			t.Errorf("%s: %d bytes back of %d: %v", name, len(got), len(c.records), err)
		}
	}
}

// TestDamagedChunksAreNoticed at each byte, before anything is expanded.
func TestDamagedChunksAreNoticed(t *testing.T) {
	p, u := newCodec(t)
	packed := p.pack(telemetryChunk(20))
	for i := range packed {
		damaged := bytes.Clone(packed)
		damaged[i] ^= 0x10
		if records, err := u.unpack(damaged); err == nil && i > 0 {
			t.Errorf("byte %d flipped: %d bytes come back without an error", i, len(records))
		}
		if _, err := u.unpack(packed[:i]); !errors.Is(err, errDamaged) {
			t.Errorf("cut after %d bytes: %v", i, err)
		}
	}
}

// FuzzUnpack: no bytes make it panic, nor expand beyond the bound, not even
// with a CRC that is right.
func FuzzUnpack(f *testing.F) {
	p, u := newCodec(f)
	f.Add(p.pack(telemetryChunk(3)))
	f.Add([]byte{chunkRaw, 1, 2, 3})
	f.Add([]byte{chunkZstd, 0, 0, 0, 0, 0xff, 0xff, 0x03, 0x28, 0xb5, 0x2f, 0xfd})
	f.Fuzz(func(t *testing.T, chunk []byte) {
		if len(chunk) > 5 && chunk[0] == chunkZstd {
			binary.LittleEndian.PutUint32(chunk[1:], crc32.Checksum(chunk[5:], castagnoli))
		}
		records, err := u.unpack(chunk)
		if err != nil && !errors.Is(err, errDamaged) {
			t.Errorf("%v does not wrap errDamaged", err)
		}
		if len(records) > max(maxUnpacked, len(chunk)) {
			t.Errorf("%d bytes of %d", len(records), len(chunk))
		}
		if err == nil {
			_, _ = decodeChunk(records) // must not panic
		}
	})
}
