package storeforward

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// castagnoli is the polynomial of CRC-32C (RFC 3720, B.4).
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errDamaged = errors.New("damaged")

const (
	recordVersion = 1
	recordHeader  = 8 // length and CRC, 4 bytes each, little endian
)

// record is a message as it stands in a chunk. Its sequence number is that of
// the chunk plus its place in it.
type record struct {
	message gateway.Message
	// accepted is when the queue took the message; zero if the clock was not
	// to be trusted, and then the message never expires.
	accepted time.Time
}

// appendRecord encodes a record behind buf: length, CRC, then version, times
// in microseconds since 1970 and the fields, each with its length.
func appendRecord(buf []byte, r record) []byte {
	start := len(buf)
	buf = append(buf, make([]byte, recordHeader)...)
	buf = append(buf, recordVersion)
	buf = binary.AppendVarint(buf, micros(r.message.Created))
	buf = binary.AppendVarint(buf, micros(r.accepted))
	buf = appendString(buf, string(r.message.Kind))
	buf = appendString(buf, r.message.CorrelationID)
	buf = appendString(buf, r.message.ContentType)
	buf = append(buf, r.message.Body...)
	payload := buf[start+recordHeader:]
	binary.LittleEndian.PutUint32(buf[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(buf[start+4:], crc32.Checksum(payload, castagnoli))
	return buf
}

// recordSize bounds the encoded size of a message from above.
func recordSize(m gateway.Message) int {
	return recordHeader + 1 + 5*binary.MaxVarintLen64 +
		len(m.Kind) + len(m.CorrelationID) + len(m.ContentType) + len(m.Body)
}

// decodeChunk returns the records of a chunk. Beside an error it returns those
// that stand whole before the damage.
func decodeChunk(chunk []byte) ([]record, error) {
	var records []record
	for len(chunk) > 0 {
		if len(chunk) < recordHeader {
			return records, fmt.Errorf("record header cut short: %w", errDamaged)
		}
		size := int(binary.LittleEndian.Uint32(chunk))
		sum := binary.LittleEndian.Uint32(chunk[4:])
		chunk = chunk[recordHeader:]
		if size < 0 || size > len(chunk) {
			return records, fmt.Errorf("record of %d bytes in %d: %w", size, len(chunk), errDamaged)
		}
		if crc32.Checksum(chunk[:size], castagnoli) != sum {
			return records, fmt.Errorf("record checksum: %w", errDamaged)
		}
		r, err := decodeRecord(chunk[:size])
		if err != nil {
			return records, err
		}
		records = append(records, r)
		chunk = chunk[size:]
	}
	return records, nil
}

func decodeRecord(data []byte) (record, error) {
	d := decoder{data: data}
	if v := d.byte(); v != recordVersion && d.err == nil {
		return record{}, fmt.Errorf("record version %d: %w", v, errDamaged)
	}
	var r record
	r.message.Created = d.time()
	r.accepted = d.time()
	r.message.Kind = gateway.Kind(d.string())
	r.message.CorrelationID = d.string()
	r.message.ContentType = d.string()
	r.message.Body = append([]byte(nil), d.data...)
	return r, d.err
}

// micros is the time in the form of the store; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func appendString(buf []byte, s string) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(s))), s...)
}

// decoder reads fields until the first error, which it keeps.
type decoder struct {
	data []byte
	err  error
}

func (d *decoder) fail() { d.err, d.data = fmt.Errorf("field cut short: %w", errDamaged), nil }

func (d *decoder) byte() byte {
	if len(d.data) == 0 {
		d.fail()
		return 0
	}
	b := d.data[0]
	d.data = d.data[1:]
	return b
}

func (d *decoder) time() time.Time { return fromMicros(d.varint()) }

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.data)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.data = d.data[n:]
	return v
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.data)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.data = d.data[n:]
	return v
}

func (d *decoder) string() string {
	size := d.uvarint()
	if size > uint64(len(d.data)) {
		d.fail()
		return ""
	}
	s := string(d.data[:size])
	d.data = d.data[size:]
	return s
}

// cursor is where a lane stands. One is kept per epoch; that of the newest
// epoch counts, the others say how large their epochs are.
type cursor struct {
	// acked: every sequence number up to this one has left the queue.
	acked uint64
	// next is the sequence number of the next message to be accepted.
	next uint64
	// first is the sequence number that the epoch began with.
	first uint64
	// bytes is the size of the epoch's chunks.
	bytes int64
	// newest is when the epoch's last message was accepted; zero if unknown.
	newest time.Time
}

func (c cursor) encode() []byte {
	buf := make([]byte, 4, 40)
	buf = binary.AppendUvarint(buf, c.acked)
	buf = binary.AppendUvarint(buf, c.next)
	buf = binary.AppendUvarint(buf, c.first)
	buf = binary.AppendVarint(buf, c.bytes)
	buf = binary.AppendVarint(buf, micros(c.newest))
	binary.LittleEndian.PutUint32(buf, crc32.Checksum(buf[4:], castagnoli))
	return buf
}

func decodeCursor(data []byte) (cursor, error) {
	if len(data) < 4 || crc32.Checksum(data[4:], castagnoli) != binary.LittleEndian.Uint32(data) {
		return cursor{}, fmt.Errorf("cursor checksum: %w", errDamaged)
	}
	d := decoder{data: data[4:]}
	c := cursor{acked: d.uvarint(), next: d.uvarint(), first: d.uvarint(), bytes: d.varint(), newest: d.time()}
	if d.err == nil && (c.next == 0 || c.acked >= c.next) {
		d.fail()
	}
	return c, d.err
}
