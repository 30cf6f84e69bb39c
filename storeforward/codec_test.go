package storeforward

import (
	"bytes"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestRecordSizeBoundsTheEncoding(t *testing.T) {
	m := msg("telemetry", "body")
	m.CorrelationID = "correlation"
	r := record{message: m, accepted: time.Unix(1<<33, 0)}
	if n := len(appendRecord(nil, r)); n > recordSize(m) {
		t.Errorf("encoded %d bytes, bound %d", n, recordSize(m))
	}
}

func FuzzDecodeChunk(f *testing.F) {
	r := record{message: gateway.Message{Kind: "telemetry", ContentType: "application/json", Body: []byte("{}")}}
	chunk := appendRecord(appendRecord(nil, r), r)
	f.Add(chunk)
	f.Add(chunk[:len(chunk)-1])
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		records, err := decodeChunk(data)
		var again []byte
		for _, r := range records {
			again = appendRecord(again, r)
		}
		if err == nil && len(records) > 0 && len(again) > len(data) {
			t.Errorf("%d bytes decoded to records of %d", len(data), len(again))
		}
		if second, err := decodeChunk(again); err != nil || len(second) != len(records) {
			t.Errorf("what was decoded does not encode again: %v", err)
		}
	})
}

func FuzzDecodeCursor(f *testing.F) {
	f.Add(cursor{acked: 3, next: 9, first: 2, bytes: 100, newest: time.Unix(1, 0)}.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeCursor(data)
		if err != nil {
			return
		}
		if c.acked >= c.next {
			t.Errorf("cursor %+v has acknowledged what was never accepted", c)
		}
		if again, err := decodeCursor(c.encode()); err != nil || again != c || bytes.Equal(data, nil) {
			t.Errorf("%+v encodes to %+v, %v", c, again, err)
		}
	})
}
