package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

// The kinds of bodies.
const (
	bodyTelemetry = "telemetry" // JSON as the gateway makes it, about 300 B
	bodyNoise     = "noise"     // 300 random bytes, which no compression helps
	bodyTiny      = "tiny"      // 12 bytes, to have very many messages
)

const noiseBytes = 300

// sensors are what a greenhouse with a few chips tells each time it is asked.
var sensors = []struct {
	device, name, unit string
	base, swing        float64
	digits             int
}{
	{"air", "temperature", "Cel", 21, 4, 2},
	{"air", "humidity", "%RH", 55, 12, 1},
	{"air", "pressure", "hPa", 1013, 9, 1},
	{"soil-1", "moisture", "%", 34, 6, 1},
	{"soil-2", "moisture", "%", 31, 6, 1},
	{"lamp", "illuminance", "lx", 8200, 4100, 0},
	{"board", "cpu_temperature", "Cel", 48, 7, 1},
	{"tank", "level", "m", 1.4, 0.3, 3},
}

// writeBody appends body number n of a kind to buf. The same n gives the same
// body in every engine and run.
func writeBody(buf []byte, kind string, n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 1868))
	switch kind {
	case bodyNoise:
		for range noiseBytes {
			buf = append(buf, byte(r.Uint32()))
		}
		return buf
	case bodyTiny:
		return fmt.Appendf(buf, "%012d", n)
	}
	return writeTelemetry(buf, r, n)
}

// writeTelemetry makes two or three readings, taken within a second of each
// other.
func writeTelemetry(buf []byte, r *rand.Rand, n int) []byte {
	at := time.UnixMilli(1_795_600_000_000 + int64(n)*10)
	buf = append(buf, `{"v":1,"readings":[`...)
	for i := range 2 + n%2 {
		s := sensors[(n*3+i)%len(sensors)]
		if i > 0 {
			buf = append(buf, ',')
		}
		at = at.Add(time.Duration(1+r.IntN(300)) * time.Millisecond)
		buf = fmt.Appendf(buf, `{"device":%q,"name":%q,"value":%.*f,"unit":%q,"time":%q,"quality":"good"}`,
			s.device, s.name, s.digits, s.base+s.swing*(2*r.Float64()-1), s.unit, at.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	return append(buf, "]}"...)
}

// source hands out groups of bodies without end.
type source interface {
	group(size int) [][]byte
}

// fresh makes each body when it is asked for, and keeps none.
type fresh struct {
	kind string
	n    int
}

func (f *fresh) group(size int) [][]byte {
	list := make([][]byte, size)
	for i := range list {
		list[i] = writeBody(nil, f.kind, f.n)
		f.n++
	}
	return list
}

// pool hands out bodies that were made beforehand, again and again, so that
// making them is not measured. They lie outside the heap: the collector of the
// process that is measured does not see them.
type pool struct {
	arena []byte
	ends  []uint32 // of the bodies, in the arena
	n     int
}

// poolMost is how many different bodies there are: 20 MB, which is more than
// any engine looks at to compress.
const poolMost = 1 << 16

func newPool(kind string, most int) (*pool, error) {
	count := min(most, poolMost)
	arena, err := unix.Mmap(-1, 0, count*512, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("memory for %d bodies: %w", count, err)
	}
	p := &pool{arena: arena, ends: make([]uint32, count)}
	end := 0
	for i := range p.ends {
		end += len(writeBody(arena[end:end:end+512], kind, i))
		p.ends[i] = uint32(end)
	}
	return p, nil
}

func (p *pool) group(size int) [][]byte {
	list := make([][]byte, size)
	for i := range list {
		list[i] = p.body(p.n % len(p.ends))
		p.n++
	}
	return list
}

func (p *pool) body(i int) []byte {
	begin, end := uint32(0), p.ends[i]
	if i > 0 {
		begin = p.ends[i-1]
	}
	return p.arena[begin:end:end]
}

func bytesOf(bodies [][]byte) (n int) {
	for _, b := range bodies {
		n += len(b)
	}
	return n
}
