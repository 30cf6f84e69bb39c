//go:build board

package systemtest

import (
	"encoding/json"
	"fmt"
	"net"
	"testing"
	"time"
)

// TestBoardRaspberryPi boots the Pi, whose own drivers then serve its buses.
func TestBoardRaspberryPi(t *testing.T) {
	dir := t.TempDir()
	m := raspberryPi(t, dir)
	b := boardHub(t, bootBoard(t, dir, m))
	t.Run("clock", func(t *testing.T) { piClock(t, b) })
	b.call(t, "SetClock", time.Now(), nil)
	t.Run("receiver", func(t *testing.T) { piReceiver(t, b, m) })
	t.Run("relay", func(t *testing.T) { piRelay(t, b) })
	t.Run("thermometer", func(t *testing.T) { piThermometer(t, b, m) })
	judgeAudit(t, b.hub)
}

// piClock starts as a Pi does, in 1970, and sets the clock later, as NTP does:
// what is read before waits, and arrives then, with the time at which it was read.
func piClock(t *testing.T, b *boardGateway) {
	b.start(t, "devices: [{id: board, driver: sysfs, every: 1s}]\n")
	eventually(t, time.Minute, func() error {
		s, err := b.status(t)
		if err == nil && (s.condition("clock-untrusted") == "" || s.waiting() == 0) {
			err = fmt.Errorf("%d messages wait, conditions %v", s.waiting(), s.Conditions)
		}
		return err
	})
	set := time.Now()
	b.call(t, "SetClock", set, nil)
	b.awaitReading(t, "board", "cpu_temperature", func(r arrived) bool {
		return near(25.178)(r.Value) && r.Time.Before(set) && r.Time.After(set.Add(-10*time.Minute))
	})
	b.awaitGood(t, "board")
}

// piReceiver listens to a receiver at the Pi's own serial port, the PL011.
func piReceiver(t *testing.T, b *boardGateway, m machine) {
	plug(t, m.uart, position)
	b.start(t, "devices: [{id: bow, driver: nmea, port: /dev/ttyAMA0, baud: 9600, every: 1s}]\n")
	b.await(t, "bow", "latitude", near(52.52))
}

// piRelay switches a relay by the Pi's own driver of its pins.
func piRelay(t *testing.T, b *boardGateway) {
	b.recordLines(t)
	t.Run("on the line", func(t *testing.T) {
		b.start(t, "devices: [{id: pump, driver: relay, line: GPIO17, every: 1s}]\n")
		b.await(t, "pump", "on", is(false))
		b.says(t, 0, []string{"do", "--socket", boardSocket, "pump", "on"}, "done")
		b.await(t, "pump", "on", is(true))
	})
	if got := b.switched(t, "3f200000.gpio", 17); got != "010" {
		t.Errorf("GPIO17 was given %q, want 010: its safe state first and last", got)
	}
}

// piThermometer reads a TMP105 by the Pi's own adapter and the kernel's driver,
// warm and in the frost.
func piThermometer(t *testing.T, b *boardGateway, m machine) {
	b.bind(t, "1", "tmp105", "0x48")
	b.start(t, "devices: [{id: cabinet, driver: hwmon, chip: tmp105, device: 1-0048, every: 1s}]\n")
	for _, celsius := range []float64{37.5, -12.5} {
		m.warm(t, celsius)
		b.await(t, "cabinet", "temperature.1", is(celsius))
	}
}

// warm sets the temperature at the thermometer, by QEMU's machine protocol.
func (m machine) warm(t *testing.T, celsius float64) {
	t.Helper()
	conn, err := net.Dial("unix", m.control)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	answers := json.NewDecoder(conn)
	for _, order := range []string{
		"", // QEMU speaks first
		`{"execute":"qmp_capabilities"}`,
		fmt.Sprintf(`{"execute":"qom-set","arguments":{"path":"/machine/peripheral/thermometer","property":"temperature","value":%d}}`, int(celsius*1000)),
	} {
		if _, err := conn.Write([]byte(order)); err != nil {
			t.Fatal(err)
		}
		var answer struct{ Error json.RawMessage }
		if err := answers.Decode(&answer); err != nil || answer.Error != nil {
			t.Fatalf("%s: %v %s", order, err, answer.Error)
		}
	}
}
