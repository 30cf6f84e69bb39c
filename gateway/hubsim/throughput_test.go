package hubsim

import (
	"fmt"
	"strings"
	"testing"

	mochi "github.com/mochi-mqtt/server/v2"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// BenchmarkRecord is one device with a window of 100 messages of 300 bytes
// over TLS, with the property bag of the gateway.
func BenchmarkRecord(b *testing.B) {
	r := startRig(b)
	p := r.connect("d1", nil)
	body := `{"v":1,"readings":[{"device":"air","name":"temperature","value":21.5,"unit":"Cel","time":"2026-03-01T12:00:00Z"}],"pad":"` + strings.Repeat("x", 180) + `"}`
	window := make(chan paho.Token, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for token := range window {
			token.Wait()
		}
	}()
	b.SetBytes(int64(len(body)))
	b.ResetTimer()
	for i := range b.N {
		window <- p.Publish(p.topic(fmt.Sprintf("%%24.mid=s-telemetry-%d&%%24.ct=application%%2Fjson&%%24.ce=utf-8&iothub-creation-time-utc=2026-03-01T12%%3A00%%3A00.000Z&store=s&lane=telemetry&seq=%d&kind=telemetry", i+1, i+1)), 1, false, body)
	}
	close(window)
	<-done
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkAccept is the hub's own share: parse, record, count.
func BenchmarkAccept(b *testing.B) {
	r := startRig(b)
	id, _ := r.state.identity("d1")
	c := newConn(r.Hub, &mochi.Client{}, id, "", true)
	body := []byte(`{"v":1,"pad":"` + strings.Repeat("x", 280) + `"}`)
	for i := range b.N {
		e, err := c.event(fmt.Sprintf("devices/d1/messages/events/%%24.mid=s-t-%d&%%24.ct=application%%2Fjson&%%24.ce=utf-8&store=s&lane=t&seq=%d&kind=telemetry", i+1, i+1), body)
		if err != nil {
			b.Fatal(err)
		}
		if err := r.accept(e); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}
