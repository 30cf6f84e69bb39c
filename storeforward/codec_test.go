package storeforward

import (
	"reflect"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestRecordSizeBoundsTheEncoding(t *testing.T) {
	m := msg("telemetry", "body")
	m.CorrelationID = "correlation"
	if n := len(appendRecord(nil, m)); n > recordSize(m) {
		t.Errorf("encoded %d bytes, bound %d", n, recordSize(m))
	}
}

func FuzzDecodeRecords(f *testing.F) {
	m := gateway.Message{Kind: "telemetry", ContentType: "application/json", Body: []byte("{}")}
	chunk := appendRecord(appendRecord(nil, m), m)
	f.Add(chunk)
	f.Add(chunk[:len(chunk)-1])
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		records, err := decodeRecords(data)
		var again []byte
		for _, r := range records {
			again = appendRecord(again, r)
		}
		if err == nil && len(records) > 0 && len(again) > len(data) {
			t.Errorf("%d bytes decoded to records of %d", len(data), len(again))
		}
		if second, err := decodeRecords(again); err != nil || len(second) != len(records) {
			t.Errorf("what was decoded does not encode again: %v", err)
		}
	})
}

func FuzzDecodeCursor(f *testing.F) {
	f.Add(cursor{lane: "telemetry", acked: 3, next: 9, first: 2, bytes: 100, newest: stamp{wall: 5, boot: 1, uptime: time.Second}}.encode())
	f.Add(cursor{lane: "alerts", acked: 3, next: 90, first: 2, done: intervals{{5, 5}, {7, 80}}}.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeCursor(data)
		if err != nil {
			return
		}
		if c.acked >= c.next {
			t.Errorf("cursor %+v has acknowledged what was never accepted", c)
		}
		if again, err := decodeCursor(c.encode()); err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%+v encodes to %+v, %v", c, again, err)
		}
	})
}
