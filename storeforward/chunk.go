package storeforward

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"
)

// A chunk on disk begins with its codec. Raw chunks hold records as they are:
// each has its own CRC, so that those before a damaged one can still be read.
// Compressed ones have a CRC over what is stored, since damage must be noticed
// before it is expanded, and the length of the records:
//
//	raw   | records …
//	zstd  | CRC-32C, 4 bytes little endian | length, uvarint | frame …
const (
	chunkRaw  = 0
	chunkZstd = 1
)

const (
	// minPacked is the size from which a chunk is worth trying to compress.
	minPacked = 256
	// maxUnpacked bounds what a chunk can expand to: the records of one append.
	maxUnpacked = MaxAppendBytes
	// packWindow bounds the memory of the codec; it is as large as most chunks.
	packWindow = 64 << 10
)

// packer compresses chunks. It is for one goroutine.
type packer struct {
	encoder *zstd.Encoder
	buf     []byte
}

func newPacker() (*packer, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(packWindow), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("compression: %w", err)
	}
	return &packer{encoder: e}, nil
}

// pack gives the form on disk of the records of a chunk. It compresses them if
// that saves a tenth at least.
func (p *packer) pack(records []byte) []byte {
	if len(records) >= minPacked {
		p.buf = append(p.buf[:0], chunkZstd, 0, 0, 0, 0)
		p.buf = binary.AppendUvarint(p.buf, uint64(len(records)))
		p.buf = p.encoder.EncodeAll(records, p.buf)
		if len(p.buf) < len(records)-len(records)/10 {
			binary.LittleEndian.PutUint32(p.buf[1:], crc32.Checksum(p.buf[5:], castagnoli))
			return append([]byte(nil), p.buf...)
		}
	}
	return append([]byte{chunkRaw}, records...)
}

// unpacker expands chunks. Goroutines may share it.
type unpacker struct{ decoder *zstd.Decoder }

func newUnpacker() (*unpacker, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxUnpacked), zstd.WithDecoderMaxWindow(maxUnpacked))
	if err != nil {
		return nil, fmt.Errorf("compression: %w", err)
	}
	return &unpacker{d}, nil
}

// unpack gives the records of a chunk. Their own damage is for decodeChunk to
// find.
func (u *unpacker) unpack(chunk []byte) ([]byte, error) {
	switch {
	case len(chunk) == 0:
		return nil, fmt.Errorf("empty chunk: %w", errDamaged)
	case chunk[0] == chunkRaw:
		return chunk[1:], nil
	case chunk[0] != chunkZstd:
		return nil, fmt.Errorf("chunk of codec %d: %w", chunk[0], errDamaged)
	case len(chunk) < 5 || crc32.Checksum(chunk[5:], castagnoli) != binary.LittleEndian.Uint32(chunk[1:]):
		return nil, fmt.Errorf("chunk checksum: %w", errDamaged)
	}
	size, n := binary.Uvarint(chunk[5:])
	if n <= 0 || size > maxUnpacked {
		return nil, fmt.Errorf("chunk of %d bytes: %w", size, errDamaged)
	}
	records, err := u.decoder.DecodeAll(chunk[5+n:], make([]byte, 0, size))
	if err != nil {
		return nil, fmt.Errorf("chunk: %w: %w", err, errDamaged)
	}
	if uint64(len(records)) != size {
		return nil, fmt.Errorf("chunk of %d bytes instead of %d: %w", len(records), size, errDamaged)
	}
	return records, nil
}
