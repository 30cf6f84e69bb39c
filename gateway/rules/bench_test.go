package rules

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/latest"
)

type idle struct{}

func (idle) Do(context.Context, gateway.Command) (gateway.Result, error) {
	return gateway.Result{Status: gateway.StatusDone}, nil
}
func (idle) Resting(gateway.DeviceID) bool                            { return false }
func (idle) Safe(gateway.DeviceID, string) error                      { return nil }
func (idle) Alert(_ context.Context, _ gateway.Alert, _ func()) error { return nil }

// BenchmarkLook is what a value that comes costs with as many rules as there may be, half
// of them within a window of the sun, and an eighth at times of the sun.
func BenchmarkLook(b *testing.B) {
	var all []Rule
	for i := range MaxRules {
		r := Rule{ID: fmt.Sprintf("r%d", i), When: "air.temperature > 35", Until: "air.temperature < 33", Do: set("fan", true)}
		switch {
		case i%8 == 0:
			r = Rule{ID: r.ID, At: []string{"sunrise", "sunset-15m"}, Do: r.Do}
		case i%2 == 0:
			r.Between = "sunrise and sunset"
		}
		all = append(all, r)
	}
	set, err := Compile(all, testWorld)
	if err != nil {
		b.Fatal(err)
	}
	board := latest.NewBoard()
	e, err := NewEngine(Options{
		Set: set, Board: board, Clock: &wall{}, Commands: idle{}, Safety: idle{}, Alerts: idle{}, Memory: &cell{},
		Actions:  func(gateway.DeviceID) []gateway.Action { return nil },
		Position: func() (Position, bool) { return Position{52.5, 13.4}, true },
	})
	if err != nil {
		b.Fatal(err)
	}
	e.look()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		board.Put(gateway.Reading{Device: "air", Name: "temperature", Value: gateway.Number(float64(20 + i%2)), Quality: gateway.Good, Time: time.Now()})
		e.look()
	}
}
