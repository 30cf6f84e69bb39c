//go:build board

package systemtest

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// boardKill kills the gateway while pumps run: one on a GPIO line, and one on an
// expander, which keeps its outputs whatever becomes of who has set them. What systemd
// does then switches them off, and so does the next start alone.
func boardKill(t *testing.T, b *boardGateway) {
	const (
		pump   = 1 << 8 // B0, inverted
		config = `devices:
  - {id: pump, driver: relay, line: PUMP, every: 1s}
  - id: io
    driver: mcp23017
    bus: i2c-1
    address: 0x20
    pins:
      - {pin: B0, name: pump, direction: out, invert: true, safe: off}
`
	)
	b.place(t, 1, 0x20, "mcp23017")
	isOn := func() bool { return b.pins(t, 1, 0x20, 0)&pump == 0 }
	runAndKill := func() {
		t.Helper()
		b.launch(t, config)
		for _, args := range [][]string{{"pump", "on"}, {"io", "set", "pin=pump", "on=true"}} {
			if ended := b.run(t, fieldpost, append([]string{"do", "--socket", boardSocket}, args...)...); ended.Code != 0 {
				t.Fatalf("fieldpost do %v: %s", args, ended.Output)
			}
		}
		b.awaitLevel(t, "PUMP", "1")
		b.call(t, "Kill", fieldpost, nil)
		if !isOn() {
			t.Fatal("the pump on the expander is off before anybody has switched it")
		}
	}

	b.recordLines(t)
	runAndKill()
	began := time.Now()
	ended := b.run(t, fieldpost, afterStop(t, boardConfig)...)
	t.Logf("after %v: %s", time.Since(began).Round(time.Millisecond), ended.Output)
	if ended.Code != 0 || isOn() {
		t.Errorf("exit code %d, the pump on the expander is on: %v", ended.Code, isOn())
	}
	if got := b.switched(t, "gpio-sim", slices.Index(boardLines, "PUMP")); got != "010" {
		t.Errorf("line PUMP was given %q, want %q", got, "010")
	}

	runAndKill()
	b.start(t, config)
	eventually(t, 10*time.Second, func() error {
		if isOn() {
			return fmt.Errorf("the pump on the expander is still on")
		}
		return nil
	})
	b.awaitLevel(t, "PUMP", "0")
}
