package storeforward

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	recordVersion = 1
	recordHeader  = 8 // length and CRC, 4 bytes each, little endian
)

// appendRecord encodes a message behind buf: length, CRC, then version, time in
// microseconds since 1970 and the fields, each with its length. Its sequence
// number is that of the chunk plus its place in it.
func appendRecord(buf []byte, m gateway.Message) []byte {
	start := len(buf)
	buf = append(buf, make([]byte, recordHeader)...)
	buf = append(buf, recordVersion)
	buf = binary.AppendVarint(buf, micros(m.Created))
	buf = appendString(buf, string(m.Kind))
	buf = appendString(buf, m.CorrelationID)
	buf = appendString(buf, m.ContentType)
	buf = append(buf, m.Body...)
	payload := buf[start+recordHeader:]
	binary.LittleEndian.PutUint32(buf[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(buf[start+4:], crc32.Checksum(payload, castagnoli))
	return buf
}

// recordSize bounds the encoded size of a message from above.
func recordSize(m gateway.Message) int {
	return recordHeader + 1 + 4*binary.MaxVarintLen64 +
		len(m.Kind) + len(m.CorrelationID) + len(m.ContentType) + len(m.Body)
}

// decodeRecords returns the messages of a chunk. Beside an error it returns
// those that stand whole before the damage.
func decodeRecords(data []byte) ([]gateway.Message, error) {
	var list []gateway.Message
	for len(data) > 0 {
		if len(data) < recordHeader {
			return list, fmt.Errorf("record header cut short: %w", errDamaged)
		}
		size := binary.LittleEndian.Uint32(data)
		sum := binary.LittleEndian.Uint32(data[4:])
		data = data[recordHeader:]
		if uint64(size) > uint64(len(data)) {
			return list, fmt.Errorf("record of %d bytes in %d: %w", size, len(data), errDamaged)
		}
		if crc32.Checksum(data[:size], castagnoli) != sum {
			return list, fmt.Errorf("record checksum: %w", errDamaged)
		}
		m, err := decodeRecord(data[:size])
		if err != nil {
			return list, err
		}
		list = append(list, m)
		data = data[size:]
	}
	return list, nil
}

func decodeRecord(data []byte) (gateway.Message, error) {
	d := decoder{data: data}
	if v := d.byte(); v != recordVersion && d.err == nil {
		return gateway.Message{}, fmt.Errorf("record version %d: %w", v, errDamaged)
	}
	var m gateway.Message
	m.Created = d.time()
	m.Kind = gateway.Kind(d.string())
	m.CorrelationID = d.string()
	m.ContentType = d.string()
	m.Body = append([]byte(nil), d.data...)
	return m, d.err
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
	// lane is the name of the lane, for whoever finds the cursor alone.
	lane gateway.Lane
	// acked: every sequence number up to this one has left the queue.
	acked uint64
	// done are those above it that have left too; of the newest epoch only.
	done intervals
	// next is the sequence number of the next message to be accepted.
	next uint64
	// first is the sequence number that the epoch began with.
	first uint64
	// bytes is the size of the epoch's chunks.
	bytes int64
	// newest is when the epoch's last message was accepted.
	newest stamp
}

func (c cursor) encode() []byte {
	buf := appendString(make([]byte, 0, 64), string(c.lane))
	buf = binary.AppendUvarint(buf, c.acked)
	buf = binary.AppendUvarint(buf, c.next)
	buf = binary.AppendUvarint(buf, c.first)
	buf = binary.AppendVarint(buf, c.bytes)
	buf = c.newest.append(buf)
	return c.done.append(buf, c.acked)
}

func decodeCursor(data []byte) (cursor, error) {
	d := decoder{data: data}
	c := cursor{
		lane: gateway.Lane(d.string()), acked: d.uvarint(), next: d.uvarint(), first: d.uvarint(), bytes: d.varint(),
		newest: d.stamp(),
	}
	c.done = d.intervals(c.acked)
	if d.err == nil && (c.next == 0 || c.acked >= c.next || !gateway.ValidLane(string(c.lane))) {
		d.fail()
	}
	return c, d.err
}
