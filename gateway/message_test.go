package gateway_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestMessageIDReadsWhatItWrites(t *testing.T) {
	for _, id := range []gateway.MessageID{
		{Store: "0a1b2c3d4e5f", Lane: gateway.LaneTelemetry, Seq: 1},
		{Store: "s", Lane: "a_2", Seq: 1<<64 - 1},
	} {
		if got, err := gateway.ParseMessageID(id.String()); err != nil || got != id {
			t.Errorf("%s: %v (%v)", id, got, err)
		}
	}
	for _, bad := range []string{"", "s", "s-l", "s-l-", "s-l-0", "s-l-x", "s-l-1-2", "-l-1", "s--1", "s-l-18446744073709551616", strings.Repeat("s", 1000)} {
		if id, err := gateway.ParseMessageID(bad); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%.20q: %v (%v), want ErrInvalid", bad, id, err)
		}
	}
}

func FuzzParseMessageID(f *testing.F) {
	f.Add("store-telemetry-1")
	f.Add("a-b-c")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := gateway.ParseMessageID(s)
		if err != nil {
			return
		}
		if again, err := gateway.ParseMessageID(id.String()); err != nil || again != id {
			t.Errorf("%q: %v, then %v (%v)", s, id, again, err)
		}
	})
}

func TestLaneNames(t *testing.T) {
	for name, want := range map[string]bool{
		"telemetry": true, "a": true, "a_1": true, strings.Repeat("a", 31): true,
		"": false, "A": false, "1a": false, "a-b": false, "a.b": false, "ü": false, strings.Repeat("a", 32): false,
	} {
		if got := gateway.ValidLane(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
