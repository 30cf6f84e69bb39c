package link

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	version = 1

	headerSize = 6
	crcSize    = 4
	// leastPayload is what each side takes; mostPayload is what none exceeds.
	leastPayload = 64
	mostPayload  = 4100
	// ourPayload is what this side takes: enough for any reading and log line.
	ourPayload = 512
)

// mostEncoded is the longest that stands between two delimiters.
var mostEncoded = wireSize(mostPayload) - 2

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

// Checksum is the CRC-32C of b, as frames, descriptors and images carry it.
func Checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Frame is what is sent as a whole.
type Frame struct {
	Version uint8
	Type    Type
	// Session is 0 in a greeting only.
	Session uint16
	// Number is that of a request and its answer, or of a log line.
	Number  uint16
	Payload []byte
}

// Append appends the frame as it goes over the wire, delimiters included. Its
// payload must not be longer than 4100 bytes.
func (f Frame) Append(dst []byte) []byte {
	raw := make([]byte, 0, headerSize+leastPayload+crcSize)
	raw = append(raw, f.Version, byte(f.Type))
	raw = le.AppendUint16(raw, f.Session)
	raw = le.AppendUint16(raw, f.Number)
	raw = append(raw, f.Payload...)
	raw = le.AppendUint32(raw, Checksum(raw))
	dst = appendCOBS(append(dst, 0), raw)
	return append(dst, 0)
}

// wireSize is how long a frame with so much payload is on the wire at most.
func wireSize(payload int) int {
	n := headerSize + payload + crcSize
	return 1 + n + n/254 + 1 + 1 // a code for each 254 bytes, and one more
}

// decodeFrame decodes what stood between two delimiters, within b. It says false
// of a damaged frame.
func decodeFrame(b []byte) (Frame, bool) {
	raw, ok := decodeCOBS(b)
	n := len(raw) - crcSize
	if !ok || n < headerSize || n > headerSize+mostPayload || Checksum(raw[:n]) != le.Uint32(raw[n:]) {
		return Frame{}, false
	}
	return Frame{
		Version: raw[0], Type: Type(raw[1]),
		Session: le.Uint16(raw[2:]), Number: le.Uint16(raw[4:]),
		Payload: raw[headerSize:n],
	}, true
}

// Splitter finds the frames in a stream of bytes. It holds one frame at most. The
// zero Splitter is ready.
type Splitter struct {
	// Damaged counts frames that were dropped: not COBS, too short, too long, or
	// with a wrong CRC.
	Damaged uint64

	buf  []byte
	long bool // the open frame is longer than any may be
}

// Split hands each frame that b completes to take. The payload is valid until take
// returns.
func (s *Splitter) Split(b []byte, take func(Frame)) {
	for _, x := range b {
		switch {
		case x == 0:
			s.end(take)
		case len(s.buf) == mostEncoded:
			s.long = true
		default:
			s.buf = append(s.buf, x)
		}
	}
}

func (s *Splitter) end(take func(Frame)) {
	if len(s.buf) == 0 {
		return
	}
	if f, ok := decodeFrame(s.buf); ok && !s.long {
		take(f)
	} else {
		s.Damaged++
	}
	s.buf, s.long = s.buf[:0], false
}
