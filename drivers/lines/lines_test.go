package lines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/dialog"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway"
)

var (
	yes = []string{"1", "true", "on", "yes"}
	no  = []string{"0", "false", "off", "no"}
)

func configOf(path string, patterns ...Pattern) Config {
	return Config{
		PortConfig: bus.PortConfig{Port: path, Baud: 9600, DataBits: 8, Parity: "none", StopBits: 1, DTR: bus.Keep, RTS: bus.Keep},
		Config:     dialog.Config{Every: time.Second, Timeout: time.Second, MaxLine: 1024},
		Encoding:   "utf-8", Patterns: patterns,
	}
}

var weather = []Pattern{
	{Match: `^T=(?P<temperature>[^ ]+) H=(?P<humidity>[^ ]+)$`, Readings: map[string]Quantity{
		"temperature": {Type: "number", Unit: "Cel"},
		"humidity":    {Type: "number", Unit: "%RH"},
	}},
	{Match: `^door (?P<door>.*)$`, Readings: map[string]Quantity{"door": {Type: "bool", True: append(yes, "open"), False: append(no, "closed")}}},
	{Match: `^(?P<a>[-+. 0-9,]+);(?P<b>[0-9]*)?( (?P<n>.+))?$`, Readings: map[string]Quantity{"b": {Type: "text"}, "n": {Name: "note.first", Type: "text"}}},
}

func TestLinesAreDecoded(t *testing.T) {
	for _, c := range []struct{ line, want, problem string }{
		{line: "T=21.5 H=40", want: "temperature=21.5 Cel, humidity=40 %RH"},
		{line: "T=-3e1 H=0040", want: "temperature=-30 Cel, humidity=40 %RH"},
		{line: "door OPEN", want: "door=true"},
		{line: "door 0", want: "door=false"},
		{line: "door ajar", problem: `"ajar" is neither true nor false`},
		{line: "+  12.50;7 Grüße", want: "a=12.5, b=7, note.first=Grüße"},
		{line: "- 1;", want: "a=-1, b="},
		{line: "1 2;", problem: `"1 2" is no number`},
		{line: "1,5;", problem: `"1,5" is no number`},
		{line: "T=nan H=40", problem: "no number"},
		{line: "T=inf H=40", problem: "no number"},
		{line: "T=1e999 H=40", problem: "no number"},
		{line: "T=21.5 H=40 ", problem: "no pattern matches"},
		{line: "T=21.5\xff H=40", problem: "not UTF-8"},
	} {
		d, err := New(configOf("/dev/x", weather...), nil)
		if err != nil {
			t.Fatal(err)
		}
		readings, err := d.format.decode([]byte(c.line))
		got := show(readings)
		if got != c.want || (err != nil) != (c.problem != "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%q: %s (%v), want %s %s", c.line, got, err, c.want, c.problem)
		}
	}
}

func TestQuantitiesAreKnownBefore(t *testing.T) {
	got := configOf("/dev/x", weather...).Quantities()
	want := map[string]gateway.Value{
		"temperature": gateway.Number(0), "humidity": gateway.Number(0), "door": gateway.Bool(false), "a": gateway.Number(0),
		"b": gateway.Text(""), "note.first": gateway.Text(""), "unmatched": gateway.Number(0), "unmatched.line": gateway.Text(""),
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestLatin1AndCommas(t *testing.T) {
	config := configOf("/dev/x", Pattern{Match: `^(?P<temperature>[-0-9,]+) °C$`})
	config.Encoding, config.DecimalComma = "latin-1", true
	d, err := New(config, nil)
	if err != nil {
		t.Fatal(err)
	}
	if readings, err := d.format.decode([]byte("-3,5 \xb0C")); err != nil || show(readings) != "temperature=-3.5" {
		t.Errorf("%s (%v)", show(readings), err)
	}
}

func show(readings []gateway.Reading) string {
	var all []string
	for _, r := range readings {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s=%v %s", r.Name, r.Value, r.Unit)))
	}
	return strings.Join(all, ", ")
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		pattern Pattern
		want    string
	}{
		"no expression":   {Pattern{Match: "("}, "patterns[0].match: is no regular expression"},
		"no group":        {Pattern{Match: "^x$"}, "patterns[0].match: has no named group"},
		"capitals":        {Pattern{Match: "(?P<Temp>.)"}, `the group "Temp" is no name`},
		"twice":           {Pattern{Match: "(?P<a>.)(?P<b>.)", Readings: map[string]Quantity{"b": {Name: "a", Type: "number"}}}, "two groups give a reading a"},
		"unknown group":   {Pattern{Match: "(?P<a>.)", Readings: map[string]Quantity{"b": {Type: "number"}}}, "patterns[0].readings.b: there is no group"},
		"unit of a text":  {Pattern{Match: "(?P<a>.)", Readings: map[string]Quantity{"a": {Type: "text", Unit: "kg"}}}, "patterns[0].readings.a.unit: a text has no unit"},
		"a wrong port":    {Pattern{Match: "(?P<baud>.)"}, "baud: 1 is not allowed"},
		"nothing at all ": {Pattern{}, "has no named group"},
	} {
		t.Run(name, func(t *testing.T) {
			config := configOf("/dev/x", c.pattern)
			if strings.Contains(c.want, "baud") {
				config.Baud = 1
			}
			_, err := New(config, nil)
			if fault := (*gateway.FieldError)(nil); !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
	if _, err := New(configOf("/dev/x"), nil); err == nil || !strings.Contains(err.Error(), "patterns: is empty") {
		t.Errorf("without patterns: %v", err)
	}
}

// wire makes a serial line; the far end is what the device says.
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
		config := configOf(path, weather...)
		config.Send = map[string]string{"tare": "T\r\n"}
		d, err := New(config, buses)
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}

// TestTextsAreSent: those of the config, and while the device is read.
func TestTextsAreSent(t *testing.T) {
	far, path, buses := wire(t)
	config := configOf(path, weather...)
	config.Send = map[string]string{"tare": "T\r\n", "zero": "Z\r\n"}
	d, err := New(config, buses)
	if err != nil {
		t.Fatal(err)
	}
	do := func(action, text string) error {
		_, err := d.Do(t.Context(), gateway.Command{Action: action, Args: map[string]any{"text": text}})
		return err
	}
	if err := do("send", "tare"); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("before Open: %v", err)
	}
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- d.Run(ctx, &drivertest.Sink{}) }()
	if err := do("send", "T\r\n"); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("a text of the cloud's: %v", err)
	}
	if err := do("erase", "tare"); !errors.Is(err, gateway.ErrUnknown) {
		t.Errorf("another action: %v", err)
	}
	if err := errors.Join(do("send", "tare"), do("send", "zero")); err != nil {
		t.Error(err)
	}
	heard := make([]byte, 6)
	if _, err := io.ReadFull(far, heard); err != nil || string(heard) != "T\r\nZ\r\n" {
		t.Errorf("the device has heard %q (%v)", heard, err)
	}
	stop()
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if err := do("send", "tare"); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
	actions := d.Actions()
	if len(actions) != 1 || actions[0].Idempotent || strings.Join(actions[0].Args[0].OneOf, " ") != "tare zero" {
		t.Errorf("actions %+v", actions)
	}
	d.config.Send = nil
	if d.Actions() != nil {
		t.Errorf("actions without texts: %+v", d.Actions())
	}
}

// TestDeviceIsAskedAndUnplugged is the whole way over a real tty.
func TestDeviceIsAskedAndUnplugged(t *testing.T) {
	far, path, buses := wire(t)
	config := configOf(path, weather...)
	config.Poll, config.Every = "READ\r\n", 200*time.Millisecond
	d, err := New(config, buses)
	if err != nil {
		t.Fatal(err)
	}
	go func() { // the device answers twice and is unplugged at the third time
		question := make([]byte, len(config.Poll))
		for i := range 3 {
			if _, err := far.Read(question); err != nil {
				break
			}
			if i < 2 {
				fmt.Fprintf(far, "T=2%d.5 H=40\r\n", i)
			}
		}
		far.Close()
	}()
	if err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	sink := &drivertest.Sink{}
	err = d.Run(t.Context(), sink)
	if !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "unplugged") {
		t.Errorf("Run: %v", err)
	}
	var got []string
	for _, batch := range sink.Batches() {
		got = append(got, show(batch))
	}
	if want := "temperature=20.5 Cel, humidity=40 %RH; temperature=21.5 Cel, humidity=40 %RH"; strings.Join(got, "; ") != want {
		t.Errorf("%s", got)
	}
	if places := bus.Where(config); places != path {
		t.Errorf("it is at %q", places)
	}
}

func FuzzDecode(f *testing.F) {
	for _, line := range []string{"T=21.5 H=40", "door open", "- 1;2 x", "T=nan H=0x1p4", "\xff"} {
		f.Add([]byte(line), true)
	}
	d, err := New(configOf("/dev/x", weather...), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line []byte, latin1 bool) {
		format := d.format
		format.latin1, format.comma = latin1, latin1
		readings, err := format.decode(line)
		if err != nil && readings != nil {
			t.Errorf("readings beside %v", err)
		}
		for _, r := range readings {
			if _, err := r.Value.MarshalJSON(); err != nil {
				t.Errorf("%s: %v", r.Name, err)
			}
		}
	})
}
