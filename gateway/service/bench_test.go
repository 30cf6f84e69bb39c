package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/gateway"
)

// benchOf is a bench with these devices, on simulated hardware.
func benchOf(t *testing.T, hardware bus.Hardware, record func(Transaction), devices string, changes ...func(*Loaded)) *Bench {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "fieldpost.yaml")
	text := "gateway: {id: gw, data_dir: " + dir + "}\nupstreams:\n  - {type: mqtt, url: \"mqtt://127.0.0.1:1\"}\ndevices:\n" + devices
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		change(l)
	}
	b := l.Bench(nil, slog.New(slog.DiscardHandler))
	b.buses = bus.New(bus.Options{Configs: l.buses, Hardware: hardware, Record: record})
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

const air = "  - {id: air, driver: bme280, address: 0x77, calibrate: {temperature: {offset: 1}}}\n"

// TestRecordPlaysBack: what is recorded on one board is a test on another.
func TestRecordPlaysBack(t *testing.T) {
	var mu sync.Mutex
	var lines []string
	record := func(t Transaction) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, t.String())
	}
	b := benchOf(t, i2csim.New(map[uint16]i2csim.Chip{0x77: i2csim.NewBME280()}).Hardware(), record, air)
	want, err := b.Read(t.Context(), "air")
	if err != nil || want.Error != "" || len(want.Readings) != 3 || want.Readings[0].Text() != "temperature 26.0825 Cel" {
		t.Fatalf("%+v (%v)", want, err)
	}
	transactions, err := drivertest.ParseRecord(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	replay := drivertest.NewReplay("i2c-1", transactions)
	b = benchOf(t, bus.Hardware{I2C: func(int) (i2c.BusCloser, error) { return replay, nil }}, nil, air)
	got, err := b.Read(t.Context(), "air")
	if err != nil || got.text() != want.text() || len(replay.Left()) > 0 {
		t.Errorf("%+v (%v), want %+v; left %v", got, err, want, replay.Left())
	}
}

func TestBenchSaysWhatIsWrong(t *testing.T) {
	b := benchOf(t, i2csim.New(map[uint16]i2csim.Chip{0x76: i2csim.NewBME280()}).Hardware(), nil, air)
	r, err := b.Read(t.Context(), "air")
	if err != nil || !strings.Contains(r.Error, "0x76 answers with chip id 0x60") || r.Label != "air (bme280 on i2c-1 at 0x77)" || strings.HasSuffix(r.Error, "unavailable") {
		t.Errorf("%+v (%v)", r, err)
	}
	if _, err := b.Read(t.Context(), "soil"); !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), "there is air") {
		t.Errorf("no such device: %v", err)
	}
}

// TestCheckMovesNothing: outputs are looked up, and not opened.
func TestCheckMovesNothing(t *testing.T) {
	board := drivertest.NewChip("gpiochip0", "pinctrl", "GPIO17", "GPIO27")
	board.TakenBy("GPIO27", "spi0 CS0")
	hardware := i2csim.New(map[uint16]i2csim.Chip{0x77: i2csim.NewBME280()}).Hardware()
	hardware.GPIO = drivertest.GPIO{board}
	lamp := &socket{}
	b := benchOf(t, hardware, nil, air+`
  - {id: soil, driver: bme280, address: 0x76}
  - {id: pump, driver: relay, line: GPIO17}
  - {id: valve, driver: relay, line: GPIO27}
  - {id: horn, driver: relay, line: GPIO5}
  - {id: lamp, driver: relay, line: GPIO17, chip: pinctrl}
  - {id: gps, driver: nmea, port: /dev/fieldpost-none}
  - {id: programs, driver: ingest, socket: /nowhere/ingest.sock}
`, lamp.into("lamp"))
	var got []string
	for _, f := range b.Check(t.Context()) {
		got = append(got, fmt.Sprintf("%s %v %v %s", f.Device, f.OK, f.Opened, f.Text))
	}
	want := []string{
		"air true true temperature 26.0825 Cel, pressure 100653 Pa, humidity 57.8026 %RH",
		"soil false true no answer; 0x77 answers with chip id 0x60",
		"pump true false GPIO17, line 0 of gpiochip0 (pinctrl) is free; not opened",
		"valve false false GPIO27, line 1 of gpiochip0 (pinctrl) is in use by \"spi0 CS0\"",
		"horn false false no GPIO line is called GPIO5",
		"lamp true false GPIO17",
		"gps false true there is no such port",
		"programs true false wired to nothing",
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
	if len(board.History("GPIO17")) > 0 || lamp.safe > 0 {
		t.Error("an output was switched")
	}
	if _, err := b.Read(t.Context(), "lamp"); !errors.Is(err, gateway.ErrDenied) && !errors.Is(err, gateway.ErrInvalid) || lamp.safe > 0 {
		t.Errorf("an output is read: %v", err)
	}
}

// TestReadByTheGateway: a polled device now, a stream its last readings.
func TestReadByTheGateway(t *testing.T) {
	dir := t.TempDir()
	r := startServiceWith(t, dir, `
gateway: {id: gw, data_dir: DIR/data, socket: DIR/api.sock}
upstreams:
  - {type: mqtt, url: "mqtt://127.0.0.1:1"}
queue: {max_bytes: 64MB, min_free: 64MB}
devices:
  - {id: board, driver: sysfs, every: 1h}
  - {id: programs, driver: ingest, socket: DIR/ingest.sock}
`)
	read := func(id string) (code int, got Reading) {
		code, body := r.call(t, http.MethodPost, "/v1/devices/"+id+"/read", "")
		_ = json.Unmarshal([]byte(body), &got) // a fault has none of the fields
		return code, got
	}
	eventually(t, func() error {
		if code, got := read("board"); code != http.StatusOK || got.Device != "board" || len(got.Readings) == 0 || got.Latest {
			return fmt.Errorf("code %d: %+v", code, got)
		}
		return nil
	})
	if code, got := read("programs"); code != http.StatusOK || !got.Latest || !strings.Contains(got.Error, "said nothing yet") {
		t.Errorf("a silent stream: code %d: %+v", code, got)
	}
	if code, _ := read("nobody"); code != http.StatusNotFound {
		t.Errorf("no such device: code %d", code)
	}
	if err := r.stop(t); err != nil {
		t.Error(err)
	}
}

// talker is a device that speaks by itself.
type talker struct{ says [][]gateway.Reading }

func (d talker) Run(ctx context.Context, to gateway.Sink) error {
	for _, one := range d.says {
		if err := to.Emit(ctx, one...); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// TestBenchListensForWhatIsGood: half a line at the beginning is no answer, and a
// device that is misunderstood is not said to be well.
func TestBenchListensForWhatIsGood(t *testing.T) {
	half := []gateway.Reading{{Name: "unmatched", Value: gateway.Number(1)}, {Name: "unmatched.line", Value: gateway.Text("1.5"), Quality: gateway.Bad}}
	whole := []gateway.Reading{{Name: "temperature", Value: gateway.Number(21.5), Unit: "Cel"}}
	for _, c := range []struct {
		says [][]gateway.Reading
		text string
		err  error
	}{
		{says: [][]gateway.Reading{half, whole, half}, text: "temperature 21.5 Cel"},
		{says: [][]gateway.Reading{half, half}, text: "in the config; it says: unmatched 1, unmatched.line 1.5 (bad)", err: errNothingGood},
		{err: gateway.ErrTimeout},
	} {
		synctest.Test(t, func(t *testing.T) {
			readings, err := listen(t.Context(), talker{c.says})
			if !errors.Is(err, c.err) || (len(readings) == 0) != (c.says == nil) {
				t.Errorf("%v (%v), want %v", readings, err, c.err)
			}
			if got := reading(deviceSpec{}, readings, err).text(); !strings.HasSuffix(got, c.text) {
				t.Errorf("%s, want %s", got, c.text)
			}
		})
	}
}

// TestTextsOfDevicesMoveNoCursor, nor turn the direction of what follows.
func TestTextsOfDevicesMoveNoCursor(t *testing.T) {
	for text, want := range map[string]string{
		"21,5 °C":                       "21,5 °C",
		`it's "so" \\`:                  `it's "so" \\`,
		"\x1b[2J\t\r\n\x07":             `\x1b[2J\t\r\n\a`,
		"\u202egnp.exe":                 `\u202egnp.exe`,
		"\xff":                          "\ufffd",
		strings.Repeat("ä", maxPlain+1): strings.Repeat("ä", maxPlain) + "…",
	} {
		if got := (LatestReading{Value: gateway.Text(text)}).Plain(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := (LatestReading{Value: gateway.Number(0.5)}).Plain(); got != "0.5" {
		t.Error(got)
	}
}
