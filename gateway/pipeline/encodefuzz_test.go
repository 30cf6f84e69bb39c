package pipeline

import (
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// FuzzEncodeReading: a reading either is refused or can be read back as it was,
// but for the fraction of its last millisecond.
func FuzzEncodeReading(f *testing.F) {
	f.Add("air", "temperature", "Cel", "good", "", 21.5, uint8(0), int64(1_770_000_000), int64(7_899_999))
	f.Add("door", "open", "", "bad", "", 1.0, uint8(1), int64(0), int64(0))
	f.Add("gps", "label", "", "", "\u2028 \"<&>\\ ü\x00", 0.0, uint8(2), int64(-62135596800), int64(999_999_999))
	f.Add("\xff", "", "\xed\xa0\x80", "uncertain", "\xff", math.NaN(), uint8(0), int64(math.MaxInt64), int64(-1))
	f.Add("d", "n", "1", "good", "", math.Copysign(0, -1), uint8(0), int64(1), int64(1))
	f.Add("d", "n", "1", "good", "", math.MaxFloat64, uint8(0), int64(1), int64(1))
	f.Add("d", "n", "1", "good", "", math.SmallestNonzeroFloat64, uint8(0), int64(1), int64(1))
	f.Fuzz(func(t *testing.T, device, name, unit, quality, text string, number float64, kind uint8, seconds, nanoseconds int64) {
		r := gateway.Reading{
			Device: gateway.DeviceID(device), Name: name, Unit: unit, Quality: gateway.Quality(quality),
			Time:  time.Unix(seconds, nanoseconds),
			Value: []gateway.Value{gateway.Number(number), gateway.Bool(number != 0), gateway.Text(text)}[kind%3],
		}
		data, err := encodeReading(r)
		if err != nil {
			if !errors.Is(err, gateway.ErrInvalid) || data.text != nil {
				t.Fatalf("%v beside the error %v", data, err)
			}
			return
		}
		var got wireReading
		if err := json.Unmarshal(data.text, &got); err != nil {
			t.Fatalf("%v: %s", err, data.text)
		}
		if got.Quality == "" {
			got.Quality = gateway.Good
		}
		if r.Quality == "" {
			r.Quality = gateway.Good
		}
		at, err := time.Parse(time.RFC3339, got.Time)
		if late := r.Time.Sub(at); err != nil || late < 0 || late >= time.Millisecond {
			t.Fatalf("time %s of %v: %v", got.Time, r.Time, err)
		}
		if got.Device != r.Device || got.Name != r.Name || got.Unit != r.Unit || got.Quality != r.Quality || got.Value != r.Value {
			t.Fatalf("%s of %+v", data.text, r)
		}
	})
}
