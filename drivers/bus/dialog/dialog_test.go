package dialog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway"
)

// device is the far end of a fake port.
type device struct {
	says   chan any // string or error
	rest   []byte
	answer func(text string) // to what is written
	heard  []string
}

func newDevice() *device { return &device{says: make(chan any, 10_000)} }

func (d *device) say(what ...any) {
	for _, w := range what {
		d.says <- w
	}
}

func (d *device) Read(ctx context.Context, b []byte) (int, error) {
	if len(d.rest) == 0 {
		select {
		case w := <-d.says:
			if err, is := w.(error); is {
				return 0, err
			}
			d.rest = []byte(w.(string))
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	n := copy(b, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

func (d *device) Write(_ context.Context, b []byte) error {
	d.heard = append(d.heard, string(b))
	if d.answer != nil {
		d.answer(string(b))
	}
	return nil
}

// number decodes a line with a number in it.
func number(line []byte) ([]gateway.Reading, error) {
	f, err := strconv.ParseFloat(string(line), 64)
	return []gateway.Reading{{Name: "n", Value: gateway.Number(f)}}, err
}

func values(sink *drivertest.Sink) string {
	var all []string
	for _, batch := range sink.Batches() {
		for _, r := range batch {
			if r.Name == "n" {
				all = append(all, r.Value.String())
			} else {
				all = append(all, fmt.Sprintf("%s=%v", r.Name, r.Value))
			}
		}
	}
	return strings.Join(all, " ")
}

// run has a dialog in virtual time, with a script of the device, which is over
// before its first pause when Run begins.
func run(t *testing.T, c Config, script func(d *device)) (got string, d *device, err error) {
	t.Helper()
	c.MaxLine = 16
	synctest.Test(t, func(t *testing.T) {
		d = newDevice()
		sink := &drivertest.Sink{}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute-time.Second)
		defer cancel()
		var far sync.WaitGroup
		defer far.Wait()
		far.Go(func() { script(d) })
		synctest.Wait()
		err = Run(ctx, d, c, number, sink)
		got = values(sink)
	})
	return got, d, err
}

func TestLinesAreCut(t *testing.T) {
	lost := fmt.Errorf("9 bytes dropped: %w", gateway.ErrFull)
	for name, c := range map[string]struct {
		before []any // what comes before there was silence
		after  []any
		want   string
	}{
		"line ends":            {after: []any{"1\n2\r\n3\r4\n\n\r5\r\n"}, want: "1 2 3 4 5"},
		"in pieces":            {after: []any{"1", "2", "\r", "\n", "3\n"}, want: "12 3"},
		"half a line at first": {before: []any{"23.5\n1\n"}, after: []any{"2\n"}, want: "1 2"},
		"no end at first":      {before: []any{"23"}, after: []any{".5\n1\n"}, want: "1"},
		"an end is missing":    {after: []any{"1\n2"}, want: "1"},
		"noise":                {after: []any{"\xff\x00\n7\n"}, want: `unmatched=1 unmatched.line=\xff\x00 7`},
		"too long":             {after: []any{"0123456789012345678901234567890\n8\n"}, want: "unmatched=1 unmatched.line=a line of more than 16 bytes: torn line 8"},
		"too long, in pieces":  {after: []any{"012345678901234567", "8901234567890", "\n8\n"}, want: "unmatched=1 unmatched.line=a line of more than 16 bytes: torn line 8"},
		"just not too long":    {after: []any{"0000000000000001\n"}, want: "1"},
		"bytes were lost":      {after: []any{"1\n2", lost, "3\n4\n"}, want: "1 unmatched=1 unmatched.line=9 bytes dropped: full: torn line 4"},
		"unmatched is rare":    {after: []any{"a\nb\n1\nc\n"}, want: "unmatched=1 unmatched.line=a 1"},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := run(t, Config{}, func(d *device) {
				d.say(c.before...)
				time.Sleep(time.Second)
				d.say(c.after...)
			})
			if err != nil || got != c.want {
				t.Errorf("%s (%v), want %s", got, err, c.want)
			}
		})
	}
}

func TestUnmatchedLinesAreToldOnceAMinute(t *testing.T) {
	got, _, err := run(t, Config{}, func(d *device) {
		time.Sleep(time.Second)
		d.say("1\n")
		for range 121 {
			d.say("x\n")
			time.Sleep(time.Second)
		}
	})
	if want := "1 unmatched=1 unmatched.line=x unmatched=61 unmatched.line=x unmatched=121 unmatched.line=x"; err != nil || got != want {
		t.Errorf("%s (%v)", got, err)
	}
}

func TestDeviceIsAsked(t *testing.T) {
	polling := Config{Init: []string{"FAST\r\n", "ECHO\r\n"}, Poll: "READ\r\n", Every: time.Minute, Timeout: 2 * time.Second}
	got, d, err := run(t, polling, func(d *device) {
		polls := 0
		d.answer = func(text string) {
			if text != "READ\r\n" {
				d.say("1\r\n", "OK 2\r\n") // an answer to init is no reading
				return
			}
			if polls++; polls%3 != 0 { // every third goes astray
				d.say("READ\r\n", fmt.Sprintf("%d\r\n", polls))
			}
		}
	})
	if want := "1 2 4 5 7 8 10"; err != nil || got != want {
		t.Errorf("%s (%v), want %s", got, err, want)
	}
	if want := []string{"FAST\r\n", "ECHO\r\n", "READ\r\n"}; len(d.heard) != 12 || strings.Join(d.heard[:3], "") != strings.Join(want, "") {
		t.Errorf("the device has heard %q", d.heard)
	}
}

func TestDeviceIsReported(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		script func(d *device)
		want   string
		kind   error
	}{
		"no answers": {
			Config{Poll: "R\n", Every: time.Minute, Timeout: time.Second},
			func(*device) {},
			"3 polls in a row have not been answered within 1s; check the wires", gateway.ErrTimeout,
		},
		"no answers, polled often": {
			Config{Poll: "R\n", Every: time.Second, Timeout: time.Minute},
			func(*device) {},
			"3 polls in a row have not been answered within 1s; check the wires", gateway.ErrTimeout,
		},
		"silence": {
			Config{Silence: time.Minute},
			func(d *device) { time.Sleep(time.Second); d.say("1\n") },
			"nothing that makes sense has come for 1m0s; check the wires", gateway.ErrTimeout,
		},
		"a flood of noise": {
			Config{Silence: time.Minute},
			func(d *device) {
				for range 9000 {
					d.say("~~\n")
					time.Sleep(10 * time.Millisecond)
				}
			},
			", but lines that do not; see the reading unmatched.line, and check baud", gateway.ErrTimeout,
		},
		"nothing but noise": {
			Config{},
			func(d *device) {
				for range 200 {
					time.Sleep(time.Second)
					d.say("~~\n")
				}
			},
			"lines come, but none of them makes sense; see the reading unmatched.line, and check baud", gateway.ErrInvalid,
		},
		"unplugged": {
			Config{},
			func(d *device) { d.say(fmt.Errorf("the port was unplugged: %w", gateway.ErrUnavailable)) },
			"unplugged", gateway.ErrUnavailable,
		},
		"unplugged later": {
			Config{},
			func(d *device) {
				time.Sleep(time.Second)
				d.say("1\n", fmt.Errorf("the port was unplugged: %w", gateway.ErrUnavailable))
			},
			"unplugged", gateway.ErrUnavailable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := run(t, c.config, c.script); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// chatter is a device that never pauses: whoever reads always gets something.
type chatter struct{}

func (chatter) Read(_ context.Context, b []byte) (int, error) {
	time.Sleep(20 * time.Millisecond)
	return copy(b, "~~\n"), nil
}

func (chatter) Write(context.Context, []byte) error { return nil }

func TestChatterDoesNotKeepFromActing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for _, c := range []Config{
			{Silence: time.Minute, MaxLine: 16},
			{Poll: "R\n", Every: 20 * time.Second, Timeout: time.Second, MaxLine: 16},
		} {
			if err := Run(ctx, chatter{}, c, number, &drivertest.Sink{}); !errors.Is(err, gateway.ErrTimeout) {
				t.Errorf("%+v: %v", c, err)
			}
		}
	})
}

func TestLongLineIsOneFault(t *testing.T) {
	d := newDevice()
	for range 5 {
		d.say("0123456789012345678901234567890")
	}
	d.say("\n8\n", errEnd)
	c := cutter{port: d, max: 16}
	var got []string
	for {
		line, err := c.next(t.Context())
		if errors.Is(err, errEnd) {
			break
		}
		got = append(got, fmt.Sprintf("%s %v", line, errors.Is(err, errTorn)))
	}
	if strings.Join(got, ", ") != " true, 8 false" {
		t.Errorf("%q", got)
	}
}

func TestConfigIsChecked(t *testing.T) {
	if err := (Config{Poll: "R", Every: time.Minute, Silence: time.Second}).Validate(); err == nil || !strings.Contains(err.Error(), "silence: 1s is less than every") {
		t.Error(err)
	}
	if err := (Config{Every: time.Minute, Silence: time.Second}).Validate(); err != nil {
		t.Error(err)
	}
}

// FuzzCutter: however the bytes come in pieces, the lines are the same, none is
// too long, and none holds a line end.
func FuzzCutter(f *testing.F) {
	f.Add([]byte("1\r\n22\n333\r"), 1)
	f.Add([]byte("a line that is much too long for it\nok\n"), 3)
	f.Add([]byte("\n\r\n\r"), 2)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		size = min(max(size, 1), 64)
		text = text[:min(len(text), 600)]
		whole, pieces := lines(text, len(text)+1), lines(text, size)
		if strings.Join(whole, "\n") != strings.Join(pieces, "\n") {
			t.Errorf("whole %q, in pieces %q", whole, pieces)
		}
		for _, line := range whole {
			if len(line) == 0 || len(line) > 16 || strings.ContainsAny(line, "\r\n") {
				t.Errorf("a line %q", line)
			}
		}
	})
}

var errEnd = errors.New("end")

func lines(text []byte, size int) (all []string) {
	d := newDevice()
	for len(text) > 0 {
		n := min(size, len(text))
		d.say(string(text[:n]))
		text = text[n:]
	}
	d.say(errEnd)
	c := cutter{port: d, max: 16}
	for {
		line, err := c.next(context.Background())
		switch {
		case err == nil:
			all = append(all, string(line))
		case errors.Is(err, errEnd):
			return all
		}
	}
}
