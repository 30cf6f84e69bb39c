package main

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway/service"
)

// withDevices puts devices into the place of those of the board.
func (b *board) withDevices(t *testing.T, devices string) {
	t.Helper()
	text, err := os.ReadFile(b.config)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(text), "devices:")
	if err := os.WriteFile(b.config, []byte(head+"devices:\n"+devices), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReadWithoutAGateway(t *testing.T) {
	b := newBoard(t)
	b.withDevices(t, "  - {id: board, driver: sysfs}\n  - {id: air, driver: bme280, bus: i2c-999}\n  - {id: bench, driver: sim}\n")
	out, _ := b.want(t, exitOK, "read", "board")
	wantText(t, "read", out, "memory")
	out, _ = b.want(t, exitOK, "read", "board", "--json", "--count", "2", "--every", "1ms")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var r service.Reading
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil || len(lines) != 2 || r.Device != "board" || len(r.Readings) == 0 {
		t.Errorf("%d lines (%v): %s", len(lines), err, out)
	}
	_, errs := b.want(t, exitFailed, "read", "air")
	wantText(t, "a bus that is not there", errs, "air (bme280 on i2c-999 at 0x76): ", "dtparam=i2c_arm=on")
	_, errs = b.want(t, exitFailed, "read", "nobody")
	wantText(t, "no such device", errs, "there is board, air, bench")
	_, errs = b.want(t, exitFailed, "read", "bench")
	wantText(t, "an output", errs, "safe state")
	_, errs = b.want(t, exitUsage, "read", "board", "--count=-1")
	wantText(t, "a wrong count", errs, "--count")
	file := filepath.Join(b.dir, "board.txt")
	_, errs = b.want(t, exitFailed, "read", "board", "--record", file)
	wantText(t, "a record of a device on no bus", errs, "I2C and SPI")
}

// TestRecordsCanBeRead by those who play them back.
func TestRecordsCanBeRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "air.txt")
	r, err := newRecorder(file, "air")
	if err != nil {
		t.Fatal(err)
	}
	want := []service.Transaction{
		{Bus: "i2c-1", At: "0x76", Wrote: []byte{0xd0}, Read: []byte{0x60}, Took: 412 * time.Microsecond},
		{Bus: "i2c-1", At: "0x76", Wrote: []byte{0xf4, 0x25}, Took: time.Millisecond, Err: errors.New("no answer")},
	}
	for _, one := range want {
		r.add(one)
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	got, err := drivertest.ParseRecord(text)
	same := func(a, b service.Transaction) bool { return a.String() == b.String() }
	if err != nil || !slices.EqualFunc(got, want, same) {
		t.Errorf("%v (%v), want %v", got, err, want)
	}
}

func TestCheckHardware(t *testing.T) {
	b := newBoard(t)
	b.withDevices(t, "  - {id: board, driver: sysfs}\n  - {id: bench, driver: sim}\n")
	code, out, errs := cli(t, "check", "--hardware", "--config", b.config)
	if code != exitOK {
		t.Errorf("code %d\n%s%s", code, out, errs)
	}
	wantText(t, "check", out, "2 devices", "ok     board (sysfs)", "there  bench (sim)", "not opened")
	b.withDevices(t, "  - {id: board, driver: sysfs}\n  - {id: air, driver: bme280, bus: i2c-999}\n")
	code, out, errs = cli(t, "check", "--hardware", "--json", "--config", b.config)
	var findings []service.Finding
	if err := json.Unmarshal([]byte(out), &findings); err != nil || code != exitFailed || len(findings) != 2 || !findings[0].OK || findings[1].OK {
		t.Errorf("code %d (%v)\n%s", code, err, out)
	}
	wantText(t, "check", errs, "1 of 2 devices do not do what they should")
}

// TestRunningGatewayHasItsDevices for itself.
func TestRunningGatewayHasItsDevices(t *testing.T) {
	b := newBoard(t)
	l, err := net.Listen("unix", b.socket())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	code, out, errs := cli(t, "check", "--hardware", "--config", b.config)
	wantText(t, "check", out, "right")
	wantText(t, "check", errs, "systemctl stop fieldpost", "fieldpost read")
	if code != exitFailed {
		t.Errorf("code %d", code)
	}
	_, errs = b.want(t, exitFailed, "read", "bench", "--record", filepath.Join(b.dir, "bench.txt"))
	wantText(t, "record", errs, "systemctl stop fieldpost")
	if _, err := os.Stat(filepath.Join(b.dir, "bench.txt")); err == nil {
		t.Error("a file was made")
	}
}

func TestReadByTheRunningGateway(t *testing.T) {
	socket := serveAPI(t, map[string]string{
		"/v1/devices/air/read":  `{"device":"air","label":"air (bme280)","readings":[{"name":"temperature","value":21.5,"unit":"Cel","time":"2026-11-30T12:00:00Z","quality":"good"}]}`,
		"/v1/devices/soil/read": `{"device":"soil","label":"soil (modbus)","readings":[],"error":"no answer"}`,
	})
	code, out, _ := cli(t, "read", "air", "--socket", socket)
	if code != exitOK || !strings.Contains(out, "temperature  21.5 Cel") {
		t.Errorf("code %d: %s", code, out)
	}
	code, _, errs := cli(t, "read", "soil", "--socket", socket)
	if code != exitFailed || errs != "soil (modbus): no answer\n" {
		t.Errorf("code %d: %s", code, errs)
	}
}
