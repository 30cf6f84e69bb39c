package storeforward

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

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
	// minPacked is the size from which a chunk is worth trying to compress: one
	// message of telemetry alone would save a hundred bytes.
	minPacked = 512
	// maxUnpacked bounds what a chunk can expand to: the records of one append.
	maxUnpacked = MaxAppendBytes
	// maxPayload bounds the payload of a frame: records, stamp, encryption.
	maxPayload = maxUnpacked + 1024
	// packWindow bounds the memory of the codec; it is as large as most chunks.
	packWindow = 64 << 10
)

// packer makes the payloads of chunks.
type packer struct {
	encoder *zstd.Encoder
	sealer  *sealer
	mu      sync.Mutex
	dull    [256]dullness // by lane

	// spare are buffers of the size of a chunk, values is what the frames of a
	// plan are encoded in. One goroutine, the committer, uses them, again and
	// again.
	spare  [][]byte
	values []byte
}

const (
	// packAtOnce is how many chunks are packed at the same time.
	packAtOnce = 2
	// spareBytes holds the records of a chunk, and what they are packed to even
	// if they do not shrink.
	spareBytes = chunkBytes + 1024
	// sparesMost and valuesMost bound what is kept from one plan to the next.
	sparesMost = 8
	valuesMost = 2 * MaxAppendBytes
)

func newPacker(s *sealer) (*packer, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(packAtOnce),
		zstd.WithWindowSize(packWindow), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("compression: %w", err)
	}
	return &packer{encoder: e, sealer: s}, nil
}

// pack gives the frame its payload, which takes the place of what is in buf. It
// compresses if that saves a tenth at least. Goroutines may call it at once.
func (p *packer) pack(buf []byte, f frame, at stamp, records []byte) frame {
	head := at.append(buf[:0])
	f.codec, f.payload = codecRaw, nil
	if len(records) >= minPacked && p.tries(f.lane) {
		buf = binary.AppendUvarint(head, uint64(len(records)))
		buf = p.encoder.EncodeAll(records, buf)
		shrunk := len(buf) < len(records)-len(records)/10
		if p.learn(f.lane, shrunk); shrunk {
			f.codec, f.payload = codecZstd, buf
		}
	}
	if f.codec == codecRaw {
		f.payload = append(head, records...)
	}
	return p.sealer.seal(f)
}

// packAll packs the chunks of a plan.
func (p *packer) packAll(drafts []*draft, at stamp) {
	size := 0
	for _, d := range drafts {
		size += len(d.records)
	}
	for _, d := range drafts {
		d.packed = p.buffer()
	}
	var next atomic.Int32
	work := func() {
		for i := int(next.Add(1)) - 1; i < len(drafts); i = int(next.Add(1)) - 1 {
			d := drafts[i]
			d.frame = p.pack(d.packed, d.frame, at, d.records)
		}
	}
	var other sync.WaitGroup
	if len(drafts) > 1 && size > chunkBytes {
		other.Go(work)
	}
	work()
	other.Wait()
}

// buffer returns an empty one.
func (p *packer) buffer() []byte {
	if n := len(p.spare); n > 0 {
		buf := p.spare[n-1]
		p.spare = p.spare[:n-1]
		return buf
	}
	return make([]byte, 0, spareBytes)
}

// value encodes a frame of a plan.
func (p *packer) value(f frame) []byte {
	begin := len(p.values)
	p.values = f.append(p.values)
	return p.values[begin:len(p.values):len(p.values)]
}

// reuse takes back the buffers of a plan, of which nothing is in use any more.
func (p *packer) reuse(done *plan) {
	for _, lp := range done.order {
		for _, d := range lp.drafts {
			p.giveBack(d.records)
			p.giveBack(d.packed)
		}
	}
	if p.values = p.values[:0]; cap(p.values) > valuesMost {
		p.values = nil
	}
}

// abandon leaves what is in values to a plan that has failed: the engine may
// still read it.
func (p *packer) abandon() { p.values = nil }

func (p *packer) giveBack(buf []byte) {
	if cap(buf) == spareBytes && len(p.spare) < sparesMost {
		p.spare = append(p.spare, buf[:0])
	}
}

// dullness says how long the chunks of a lane are not tried to be compressed,
// because the last ones did not shrink: measurements of a camera or of sound,
// bodies that are compressed or encrypted already.
type dullness struct{ rest, span uint8 }

// dullMost is how many chunks at most are not tried before one is.
const dullMost = 63

// tries reports whether to compress the next chunk of a lane.
func (p *packer) tries(lane uint8) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := &p.dull[lane]
	if d.rest == 0 {
		return true
	}
	d.rest--
	return false
}

// learn notes how a try ended.
func (p *packer) learn(lane uint8, shrunk bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := &p.dull[lane]
	if shrunk {
		*d = dullness{}
		return
	}
	d.span = min(2*d.span+1, dullMost)
	d.rest = d.span
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

// accepted tells of a chunk when its messages were accepted.
func (u *unpacker) accepted(data []byte) (frame, stamp, error) {
	f, err := expect(data, frameChunk)
	if err == nil {
		f, err = u.sealer.open(f)
	}
	if err != nil {
		return f, stamp{}, err
	}
	d := decoder{data: f.payload}
	at := d.stamp()
	return f, at, d.err
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
	if err == nil && uint64(len(w.messages)) != uint64(f.count) {
		err = fmt.Errorf("chunk of %d messages instead of %d: %w", len(w.messages), f.count, errDamaged)
	}
	if uint64(len(w.messages)) > uint64(f.count) {
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
