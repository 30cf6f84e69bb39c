package latest

import (
	"fmt"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestLatestCounts(t *testing.T) {
	b := NewBoard()
	w := b.Watch()
	defer w.Close()
	b.Put(gateway.Reading{Device: "air", Name: "temperature", Value: gateway.Number(20)})
	b.Put(gateway.Reading{Device: "air", Name: "temperature", Value: gateway.Number(21)})
	v, ok := b.Get("air", "temperature")
	if x, _ := v.Value.Number(); !ok || x != 21 || v.Came.IsZero() {
		t.Errorf("got %v, %v", v, ok)
	}
	if _, ok := b.Get("soil", "temperature"); ok {
		t.Error("a device that never spoke has a value")
	}
	<-w.News() // both, as one
	select {
	case <-w.News():
		t.Error("told twice")
	default:
	}
	b.Forget("air")
	<-w.News()
	if _, ok := b.Get("air", "temperature"); ok {
		t.Error("not forgotten")
	}
	w.Close()
	b.Put(gateway.Reading{Device: "air", Name: "temperature"})
	select {
	case <-w.News():
		t.Error("told after Close")
	default:
	}
}

func TestQuantitiesAreBounded(t *testing.T) {
	b := NewBoard()
	for i := range MaxQuantities + 10 {
		b.Put(gateway.Reading{Device: "air", Name: fmt.Sprint(i)})
	}
	if n := len(b.devices["air"]); n != MaxQuantities {
		t.Errorf("knows %d quantities", n)
	}
}

func TestSplit(t *testing.T) {
	known := func(id gateway.DeviceID) bool { return id == "air" || id == "air.2" }
	for name, want := range map[string][2]string{
		"air.temperature":    {"air", "temperature"},
		"air.2.temperature":  {"air.2", "temperature"},
		"air.disk_used.root": {"air", "disk_used.root"},
	} {
		device, quantity, ok := Split(name, known)
		if !ok || string(device) != want[0] || quantity != want[1] {
			t.Errorf("%s is %q of %q, %v", name, quantity, device, ok)
		}
	}
	for _, name := range []string{"soil.temperature", "air", "air.", ".temperature", ""} {
		if device, quantity, ok := Split(name, known); ok {
			t.Errorf("%q is %q of %q", name, quantity, device)
		}
	}
}
