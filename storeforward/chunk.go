package storeforward

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/fieldpost/fieldpost/gateway"
)

// A chunk is the payload of a frame: when its messages were accepted, then
// their records, compressed together where that pays.
//
//	raw   | stamp | records …
//	zstd  | stamp | length, uvarint | frame of Zstandard …
const (
	codecRaw  = 0
	codecZstd = 1
)

const (
	// minPacked is the size from which a chunk is worth trying to compress.
	minPacked = 256
	// maxUnpacked bounds what a chunk can expand to: the records of one append.
	maxUnpacked = MaxAppendBytes
	// maxPayload bounds the payload of a frame: records, stamp, encryption.
	maxPayload = maxUnpacked + 1024
	// packWindow bounds the memory of the codec; it is as large as most chunks.
	packWindow = 64 << 10
)

// packer makes the payloads of chunks. It is for one goroutine.
type packer struct {
	encoder *zstd.Encoder
	sealer  *sealer
}

func newPacker(s *sealer) (*packer, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(packWindow), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("compression: %w", err)
	}
	return &packer{encoder: e, sealer: s}, nil
}

// pack gives the frame its payload. It compresses if that saves a tenth at
// least.
func (p *packer) pack(f frame, at stamp, records []byte) frame {
	head := at.append(make([]byte, 0, len(records)+64))
	f.codec, f.payload = codecRaw, head
	if len(records) >= minPacked {
		buf := binary.AppendUvarint(head, uint64(len(records)))
		buf = p.encoder.EncodeAll(records, buf)
		if len(buf) < len(records)-len(records)/10 {
			f.codec, f.payload = codecZstd, buf
		}
	}
	if f.codec == codecRaw {
		f.payload = append(head, records...)
	}
	return p.sealer.seal(f)
}

// unpacker reads chunks. Goroutines may share it.
type unpacker struct {
	decoder *zstd.Decoder
	sealer  *sealer
}

func newUnpacker(s *sealer) (*unpacker, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxUnpacked), zstd.WithDecoderMaxWindow(maxUnpacked))
	if err != nil {
		return nil, fmt.Errorf("compression: %w", err)
	}
	return &unpacker{decoder: d, sealer: s}, nil
}

// window is a decoded piece of a lane, beginning at sequence number first.
type window struct {
	first    uint64
	stamp    stamp
	messages []gateway.Message
}

// at returns the message with the given sequence number.
func (w *window) at(seq uint64) (gateway.Message, bool) {
	if seq < w.first || seq-w.first >= uint64(len(w.messages)) {
		return gateway.Message{}, false
	}
	return w.messages[seq-w.first], true
}

// next is the sequence number behind the window.
func (w *window) next() uint64 { return w.first + uint64(len(w.messages)) }

// chunk decodes the chunk that data begins with. Beside an error that wraps
// errDamaged it returns the messages that can still be read.
func (u *unpacker) chunk(data []byte) (window, error) {
	f, damage := expect(data, frameChunk)
	if damage != nil && !errors.Is(damage, errPayload) {
		return window{}, damage
	}
	w, err := u.unpack(f)
	return w, errors.Join(damage, err)
}

func (u *unpacker) unpack(f frame) (window, error) {
	w := window{first: f.first}
	f, err := u.sealer.open(f)
	if err != nil {
		return w, err
	}
	d := decoder{data: f.payload}
	w.stamp = d.stamp()
	records := d.data
	switch {
	case d.err != nil:
		return w, d.err
	case f.codec == codecZstd:
		if records, err = u.expand(&d); err != nil {
			return w, err
		}
	case f.codec != codecRaw:
		return w, fmt.Errorf("chunk of codec %d: %w", f.codec, errDamaged)
	}
	w.messages, err = decodeRecords(records)
	if err == nil && len(w.messages) != int(f.count) {
		err = fmt.Errorf("chunk of %d messages instead of %d: %w", len(w.messages), f.count, errDamaged)
	}
	if len(w.messages) > int(f.count) {
		w.messages = w.messages[:f.count]
	}
	return w, err
}

func (u *unpacker) expand(d *decoder) ([]byte, error) {
	size := d.uvarint()
	if d.err != nil || size > maxUnpacked {
		return nil, fmt.Errorf("chunk of %d bytes: %w", size, errDamaged)
	}
	records, err := u.decoder.DecodeAll(d.data, make([]byte, 0, size))
	if err != nil {
		return nil, fmt.Errorf("chunk: %w: %w", err, errDamaged)
	}
	if uint64(len(records)) != size {
		return nil, fmt.Errorf("chunk of %d bytes instead of %d: %w", len(records), size, errDamaged)
	}
	return records, nil
}
