package jsonlines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/dialog"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway"
)

func configOf(path string) Config {
	return Config{
		PortConfig: bus.PortConfig{Port: path, Baud: 115200, DataBits: 8, Parity: "none", StopBits: 1, DTR: bus.Keep, RTS: bus.Keep},
		Config:     dialog.Config{Every: time.Second, Timeout: time.Second, MaxLine: 1024},
		Take:       "listed",
		Readings: map[string]Quantity{
			"air.temp":    {Name: "temperature", Type: "number", Unit: "Cel"},
			"relays.1":    {Type: "bool"},
			"Serial-No":   {Type: "text"},
			"door":        {Type: "any"},
			"air.comment": {Type: "any", Unit: "Cel"},
		},
	}
}

func show(readings []gateway.Reading) string {
	var all []string
	for _, r := range readings {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s=%v %s", r.Name, r.Value, r.Unit)))
	}
	return strings.Join(all, ", ")
}

func TestLinesAreDecoded(t *testing.T) {
	for _, c := range []struct{ line, want, all, problem string }{
		{line: `{"air":{"temp":21.5,"rh":40},"door":false}`, want: "temperature=21.5 Cel, door=false", all: "air.rh=40, temperature=21.5 Cel, door=false"},
		{line: `{"relays":[true,1,null]}`, want: "relays.1=true", all: "relays.0=true, relays.1=true"},
		{line: `{"Serial-No":17,"air":{"temp":" -3 ","comment":"hot"}}`, want: "serial_no=17, air.comment=hot, temperature=-3 Cel", all: "serial_no=17, air.comment=hot, temperature=-3 Cel"},
		{line: `{"door":null,"9":1,"a b":{"c d":2},"":{"":3}}`, all: "m=3, m9=1, a_b.c_d=2"},
		{line: `{"A":1,"a":2}`, all: "a=1"},
		{line: `{}`},
		{line: `{"air":{"temp":"hot"}}`, problem: "air.temp: hot is no number"},
		{line: `{"air":{"temp":"NaN"}}`, problem: "air.temp: NaN is no number"},
		{line: `{"air":{"temp":true}}`, problem: "air.temp: true is no number"},
		{line: `{"relays":[0,2]}`, problem: "relays.1: 2 is neither"},
		{line: `{"x":1e999}`, problem: "no JSON object"},
		{line: `{"x":1} {"y":2}`, problem: "no JSON object"},
		{line: `[1]`, problem: "no JSON object"},
		{line: `null`, problem: "no JSON object"},
		{line: `{"x":`, problem: "no JSON object"},
		{line: strings.Repeat(`{"x":`, 20) + "1" + strings.Repeat("}", 20), problem: "more than 16"},
	} {
		config := configOf("/dev/x")
		readings, err := config.decode([]byte(c.line))
		config.Take = "all"
		all, allErr := config.decode([]byte(c.line))
		if show(readings) != c.want || show(all) != c.all {
			t.Errorf("%s: listed %s, all %s; want %s and %s", c.line, show(readings), show(all), c.want, c.all)
		}
		for _, err := range []error{err, allErr} {
			if (err != nil) != (c.problem != "") || err != nil && (!strings.Contains(err.Error(), c.problem) || !errors.Is(err, gateway.ErrInvalid)) {
				t.Errorf("%s: %v, want %q", c.line, err, c.problem)
			}
		}
	}
}

func TestQuantitiesAreKnownWhereTypesAre(t *testing.T) {
	c := configOf("/dev/x")
	if got := c.Quantities(); got != nil {
		t.Errorf("of any type: %v, want none", got)
	}
	delete(c.Readings, "door")
	delete(c.Readings, "air.comment")
	want := map[string]gateway.Value{
		"temperature": gateway.Number(0), "relays.1": gateway.Bool(false), "serial_no": gateway.Text(""),
		"unmatched": gateway.Number(0), "unmatched.line": gateway.Text(""),
	}
	if got := c.Quantities(); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	c.Take = "all"
	if got := c.Quantities(); got != nil {
		t.Errorf("of all: %v, want none", got)
	}
}

func TestOneLineCannotFloodTheGateway(t *testing.T) {
	config := configOf("/dev/x")
	config.Take = "all"
	readings, err := config.decode([]byte(`{"a":[` + strings.Repeat("1,", 999) + `1]}`))
	if err != nil || len(readings) != maxReadings {
		t.Errorf("%d readings (%v)", len(readings), err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"nothing listed": {func(c *Config) { c.Readings = nil }, "readings: is empty"},
		"twice":          {func(c *Config) { c.Readings["x"] = Quantity{Name: "temperature"} }, "gives a reading temperature as air.temp does"},
		"unit of a text": {func(c *Config) { c.Readings["x"] = Quantity{Type: "text", Unit: "kg"} }, "readings.x: a text has no unit"},
		"port":           {func(c *Config) { c.Port = "" }, "port: is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			config := configOf("/dev/x")
			c.change(&config)
			if _, err := New(config, nil); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

func wire(t *testing.T) (far *os.File, path string, buses *bus.Set) {
	t.Helper()
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	buses = bus.New(bus.Options{})
	t.Cleanup(func() {
		near.Close() // until now, so that the far end can wait for words
		far.Close()
		if err := buses.Close(); err != nil {
			t.Error(err)
		}
	})
	return far, near.Name(), buses
}

func TestDriver(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) any {
		_, path, buses := wire(t)
		d, err := New(configOf(path), buses)
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}

// unplugger is a sink that pulls the plug when it has got enough.
type unplugger struct {
	drivertest.Sink
	far *os.File
	at  int
}

func (u *unplugger) Emit(ctx context.Context, readings ...gateway.Reading) error {
	err := u.Sink.Emit(ctx, readings...)
	if len(u.Batches()) == u.at {
		u.far.Close()
	}
	return err
}

// TestOverATTY: init goes out, then a board with noise between its lines speaks
// and is unplugged.
func TestOverATTY(t *testing.T) {
	far, path, buses := wire(t)
	config := configOf(path)
	config.Init = []string{"JSON ON\r\n"}
	d, err := New(config, buses)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = io.ReadFull(far, make([]byte, len("JSON ON\r\n")))
		_, _ = io.WriteString(far, "OK\r\n")
		time.Sleep(300 * time.Millisecond) // a pause, by which the end of the answer is known
		_, _ = io.WriteString(far, "{\"air\":{\"temp\":1}}\r\n\x80\x01{\"air\"\r\n{\"air\":{\"temp\":2}}\r\n")
	}()
	sink := &unplugger{far: far, at: 3}
	if err := d.Run(t.Context(), sink); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("Run: %v", err)
	}
	var got []string
	for _, batch := range sink.Batches() {
		got = append(got, show(batch))
	}
	want := `temperature=1 Cel; unmatched=1, unmatched.line=\x80\x01{\"air\"; temperature=2 Cel`
	if strings.Join(got, "; ") != want {
		t.Errorf("%s\nwant %s", strings.Join(got, "; "), want)
	}
}

var nameShape = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[A-Za-z0-9_.-]*)?$`)

func FuzzDecode(f *testing.F) {
	for _, line := range []string{`{"a":{"b":[1,true,"x",null]}}`, `{"air":{"temp":"21"}}`, `{"ß.É":1}`, `[]`, `{`} {
		f.Add([]byte(line))
	}
	config := configOf("/dev/x")
	config.Take = "all"
	f.Fuzz(func(t *testing.T, line []byte) {
		readings, err := config.decode(line)
		if err != nil && readings != nil {
			t.Errorf("readings beside %v", err)
		}
		for _, r := range readings {
			if !nameShape.MatchString(r.Name) {
				t.Errorf("name %q", r.Name)
			}
			if _, err := r.Value.MarshalJSON(); err != nil {
				t.Errorf("%s: %v", r.Name, err)
			}
		}
	})
}
