package link

import "testing"

// BenchmarkFrames encodes and decodes frames of readings, as full as the smallest
// microcontroller sends them.
func BenchmarkFrames(b *testing.B) {
	items := []item{}
	for range 6 {
		items = append(items, item{1, 10, FloatValue(21.5)})
	}
	f := Frame{Version: version, Type: TypeReadings, Session: 1, Payload: batch{items: items}.encode()}
	var wire []byte
	var s Splitter
	good := 0
	b.SetBytes(int64(len(f.Append(nil))))
	b.ReportAllocs()
	for b.Loop() {
		wire = f.Append(wire[:0])
		s.Split(wire, func(f Frame) {
			if _, ok := decodeBatch(f.Payload); ok {
				good++
			}
		})
	}
	if good != b.N {
		b.Fatalf("%d of %d were good", good, b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
}
