package service

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
)

// TestClaims: what the devices use is told, so that others leave it alone.
func TestClaims(t *testing.T) {
	r := startServiceWith(t, t.TempDir(), `
gateway: {id: gw, data_dir: DIR/data, socket: DIR/api.sock}
upstreams:
  - {type: mqtt, url: "mqtt://127.0.0.1:1"}
queue: {max_bytes: 64MB, min_free: 64MB}
buses:
  shed: {type: i2c, device: /dev/i2c-9}
  left: {type: i2c-mux, bus: shed, channel: 1}
devices:
  - {id: air, driver: bme280, bus: left}
  - {id: gps, driver: nmea, port: /dev/fieldpost-none}
  - {id: board, driver: sysfs}
`)
	eventually(t, func() error {
		code, body := r.call(t, http.MethodGet, "/v1/claims", "")
		var claims []Claim
		if err := json.Unmarshal([]byte(body), &claims); code != http.StatusOK || err != nil {
			return fmt.Errorf("code %d (%w): %s", code, err, body)
		}
		want := "[{the multiplexer of bus left /dev/i2c-9 112} {device air /dev/i2c-9 118} {device gps /dev/fieldpost-none -1}]"
		if got := fmt.Sprint(claims); got != want {
			return fmt.Errorf("%s, want %s", got, want)
		}
		return nil
	})
	if err := r.stop(t); err != nil {
		t.Error(err)
	}
}
