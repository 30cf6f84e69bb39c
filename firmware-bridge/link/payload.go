package link

import "unicode/utf8"

// batch is the payload of READINGS.
type batch struct {
	first uint32 // number of the first reading
	held  uint16 // how many before it are held
	time  uint32 // uptime in ms of the first
	items []item
}

type item struct {
	channel uint8
	delay   uint16 // ms after batch.time
	value   Value
}

const batchHeader = 10

func decodeBatch(p []byte) (batch, bool) {
	if len(p) <= batchHeader {
		return batch{}, false
	}
	b := batch{first: le.Uint32(p), held: le.Uint16(p[4:]), time: le.Uint32(p[6:])}
	for p = p[batchHeader:]; len(p) > 0; {
		if len(p) < 4 {
			return batch{}, false
		}
		v, rest, ok := cutValue(p[3:])
		if !ok {
			return batch{}, false
		}
		b.items = append(b.items, item{p[0], le.Uint16(p[1:]), v})
		p = rest
	}
	return b, true
}

// pong is the answer to PING behind its status.
type pong struct {
	uptime    uint32 // ms
	failsafes uint8
	errors    uint16
}

func decodePong(b []byte) (pong, bool) {
	if len(b) < 7 {
		return pong{}, false
	}
	return pong{le.Uint32(b), b[4], le.Uint16(b[5:])}, true
}

// Level is how much a log line matters.
type Level uint8

// The levels.
const (
	Debug Level = iota
	Info
	Warning
	Error
)

const logHeader = 5

// decodeLog takes a LOG apart: level, uptime in ms, text. Bytes that are no UTF-8
// are replaced.
func decodeLog(p []byte) (Level, uint32, string, bool) {
	if len(p) < logHeader || Level(p[0]) > Error {
		return 0, 0, "", false
	}
	return Level(p[0]), le.Uint32(p[1:]), clean(p[logHeader:]), true
}

// clean makes a line of text of what a peer has sent.
func clean(b []byte) string {
	out := make([]rune, 0, len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r < ' ' || r == 0x7F {
			r = ' '
		}
		out = append(out, r)
		b = b[n:]
	}
	return string(out)
}
