//go:build board

package systemtest

import (
	"strings"
	"testing"
)

// boardProbe finds chips on the kernel's real buses, leaves alone those that the
// kernel or the gateway uses, and moves nothing. Without the gateway, devices are
// checked and read by themselves.
func boardProbe(t *testing.T, b *boardGateway) {
	b.place(t, 1, 0x20, "mcp23017")
	b.place(t, 1, 0x76, "bme280")
	b.place(t, 2, 0x49, "ads1115")
	b.bind(t, "2", "ads1115", "0x49")
	b.says(t, 0, []string{"probe", "--socket", boardSocket},
		"0x20  by its address MCP23017", "0x76  BME280, by its id 60", "0x49  used by the kernel as ads1115",
		"driver: bme280", "address: 0x76", "driver: iio", "device: '2-0049'", "gpiochip")

	b.launch(t, "devices: [{id: air, driver: bme280, bus: i2c-1, address: 0x76, every: 1s}]\n")
	b.await(t, "air", "temperature", near(25.08))
	b.says(t, 0, []string{"probe", "--socket", boardSocket}, "0x76  used by device air")
	b.says(t, 0, []string{"read", "air", "--socket", boardSocket}, "temperature", "Cel")
	b.says(t, 1, []string{"check", "--hardware", "--config", boardConfig}, "systemctl stop fieldpost")
	b.stop(t)

	b.says(t, 0, []string{"check", "--hardware", "--config", boardConfig}, "ok  air (bme280 on i2c-1 at 0x76)  temperature 25.0825 Cel")
	b.says(t, 0, []string{"read", "air", "--socket", boardSocket, "--config", boardConfig, "--record", "/var/air.txt"}, "temperature")
	if record := b.read(t, "/var/air.txt"); !strings.Contains(record, "i2c-1 0x76 w d0 r 60 ") {
		t.Errorf("the record is\n%s", record)
	}
	if out := b.pins(t, 1, 0x20, 0); out != 0 {
		t.Errorf("the expander holds %#x", out)
	}
}

// says wants a command of fieldpost to end with a code and to say all of this.
func (b *boardGateway) says(t *testing.T, code int, args []string, wants ...string) {
	t.Helper()
	ended := b.run(t, fieldpost, args...)
	if ended.Code != code {
		t.Errorf("fieldpost %v: code %d, want %d\n%s", args, ended.Code, code, ended.Output)
	}
	for _, want := range wants {
		if !strings.Contains(ended.Output, want) {
			t.Errorf("fieldpost %v:\n%s\nwant %s", args, ended.Output, want)
		}
	}
}
