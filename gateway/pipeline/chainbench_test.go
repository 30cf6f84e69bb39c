package pipeline

import (
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/expression"
)

// BenchmarkChain processes what a device with three quantities reads at once;
// a reading costs a third of what is shown.
func BenchmarkChain(b *testing.B) {
	low, high := -40.0, 85.0
	derive := map[string]Derivation{"dew_point": {Value: "temperature - (100 - humidity) / 5", Unit: "Cel", MaxAge: time.Minute}}
	for _, c := range []struct {
		name string
		p    Processing
	}{
		{"nothing", Processing{}},
		{"calibrate", Processing{Calibrate: map[string]Calibration{"temperature": {Scale: 1.02, Offset: -0.4}}}},
		{"deadband", Processing{Deadband: map[string]string{"temperature": "0.1", "humidity": "2%", "pressure": "50"}, Heartbeat: time.Hour}},
		{"window", Processing{Window: map[string]Window{"pressure": {Every: time.Minute, Of: []string{"mean", "min", "max", "median"}}}}},
		{"derive", Processing{Derive: derive}},
		{"alert", Processing{Alerts: []AlertRule{{ID: "hot", When: "temperature > 35", Until: "temperature < 33"}}}},
		{"all", Processing{
			Calibrate:  map[string]Calibration{"temperature": {Scale: 1.02, Offset: -0.4}},
			ValidRange: map[string]ValidRange{"temperature": {Min: &low, Max: &high}},
			Derive:     derive,
			Alerts:     []AlertRule{{ID: "hot", When: "temperature > 35", Until: "temperature < 33"}},
			Window:     map[string]Window{"pressure": {Every: time.Minute, Of: []string{"mean", "min", "max"}}},
			Deadband:   map[string]string{"temperature": "0.1", "humidity": "2%", "dew_point": "0.2"}, Heartbeat: time.Hour,
			RateLimit: map[string]time.Duration{"pressure": 10 * time.Second},
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			chain := mustChain(b, c.p)
			readings := make([]gateway.Reading, 3)
			now := dawn
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				now = now.Add(time.Second)
				x := float64(i%100) / 50
				readings[0] = gateway.Reading{Device: "air", Name: "temperature", Value: gateway.Number(20 + x), Unit: "Cel", Time: now, Quality: gateway.Good}
				readings[1] = gateway.Reading{Device: "air", Name: "humidity", Value: gateway.Number(50 + x), Unit: "%RH", Time: now, Quality: gateway.Good}
				readings[2] = gateway.Reading{Device: "air", Name: "pressure", Value: gateway.Number(101300 + x), Unit: "Pa", Time: now, Quality: gateway.Good}
				chain.Apply(readings, now)
			}
		})
	}
}

// BenchmarkExpression shows what one calculation costs, at most: as many steps
// as an expression may have.
func BenchmarkExpression(b *testing.B) {
	text := "a"
	for range (expression.MaxNodes - 1) / 4 {
		text = "sqrt(" + text + "*2)"
	}
	e, err := expression.Compile(text, nil)
	if err != nil {
		b.Fatal(err)
	}
	var s calculator
	values := map[string]any{"a": 2.0}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Run(&s.machine, values); err != nil {
			b.Fatal(err)
		}
	}
}
