package service

import (
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/latest"
	"github.com/fieldpost/fieldpost/gateway/rules"
)

// TestWhereTheGatewayIs: what a device tells counts before what the config says, if it
// can be true.
func TestWhereTheGatewayIs(t *testing.T) {
	north, east := 52.5, 13.4
	fixed, gps := PositionConfig{Latitude: &north, Longitude: &east}, PositionConfig{Device: "gps"}
	both := fixed
	both.Device = "gps"
	number := func(name string, v float64, q gateway.Quality) gateway.Reading {
		return gateway.Reading{Device: "gps", Name: name, Value: gateway.Number(v), Quality: q}
	}
	fix := []gateway.Reading{number("latitude", 48.1, gateway.Good), number("longitude", 11.6, gateway.Uncertain)}
	for name, c := range map[string]struct {
		config *PositionConfig
		told   []gateway.Reading
		want   rules.Position
		known  bool
	}{
		"nothing":         {nil, fix, rules.Position{}, false},
		"fixed":           {&fixed, fix, rules.Position{Latitude: 52.5, Longitude: 13.4}, true},
		"no fix yet":      {&gps, nil, rules.Position{}, false},
		"no fix, but":     {&both, nil, rules.Position{Latitude: 52.5, Longitude: 13.4}, true},
		"a fix":           {&both, fix, rules.Position{Latitude: 48.1, Longitude: 11.6}, true},
		"half a fix":      {&gps, fix[:1], rules.Position{}, false},
		"a bad one":       {&gps, []gateway.Reading{number("latitude", 48.1, gateway.Bad), fix[1]}, rules.Position{}, false},
		"an impossible":   {&gps, []gateway.Reading{number("latitude", 480, gateway.Good), fix[1]}, rules.Position{}, false},
		"a text":          {&gps, []gateway.Reading{{Device: "gps", Name: "latitude", Value: gateway.Text("48")}, fix[1]}, rules.Position{}, false},
		"of another unit": {&gps, []gateway.Reading{{Device: "air", Name: "latitude", Value: gateway.Number(1)}, fix[1]}, rules.Position{}, false},
	} {
		board := latest.NewBoard()
		board.Put(c.told...)
		p, known := (&GatewayConfig{Position: c.config}).where(board)
		if known != c.known || known && p != c.want {
			t.Errorf("%s: %v, %v; want %v, %v", name, p, known, c.want, c.known)
		}
	}
}

// TestZonesAreInTheProgram, whatever the board has.
func TestZonesAreInTheProgram(t *testing.T) {
	t.Setenv("ZONEINFO", "/nowhere")
	for _, name := range []string{"Europe/Berlin", "Pacific/Chatham", "UTC"} {
		c := GatewayConfig{Timezone: name}
		if _, err := c.zone(); err != nil || c.Validate() != nil || c.zoneName() != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c := (GatewayConfig{Timezone: "Berlin"}); c.Validate() == nil {
		t.Error("Berlin is taken for a zone")
	}
}
