package mcu

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/firmware-bridge/link/linktest"
	"github.com/fieldpost/fieldpost/gateway"
)

const descriptor = `device name=mixer
firmware name=mixer-fw version=1.2.0
channel id=1 name=temperature type=float unit=Cel
channel id=2 name=turns type=int unit=count
channel id=3 name=door type=bool
channel id=4 name=state type=text
action id=1 name=set idempotent lease help="Switches the motor"
arg name=on type=bool required safe=false
result name=on type=bool
action id=2 name=dose timeout=3000
arg name=amount type=float unit=g min=0.5 max=250 required
arg name=kind type=text oneof=oats,barley
result name=amount type=float
action id=3 name=speed idempotent lease
arg name=percent type=int min=0 max=100 required safe=0
setting id=7 name=interval type=int unit=ms min=100 max=60000
`

// rig is a microcontroller at the far end of a serial line.
type rig struct {
	*Dev
	mcu  *linktest.MCU
	path string

	mu    sync.Mutex
	asked []string // what it was asked to do
	fails link.Status
}

// wire connects a microcontroller by a pseudo terminal.
func wire(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	return wireTo(t, &linktest.MCU{Descriptor: descriptor, Timeout: 2 * time.Second}, change)
}

func wireTo(t *testing.T, mcu *linktest.MCU, change func(*Config)) *rig {
	t.Helper()
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{path: near.Name(), mcu: mcu}
	near.Close()
	r.mcu.Do = r.do
	var running sync.WaitGroup
	over := make(chan struct{})
	running.Go(func() { r.serve(far, over) })
	t.Cleanup(func() {
		close(over)
		far.Close()
		running.Wait()
	})
	c := Config{Port: r.path, Baud: 115200, DTR: bus.Keep, RTS: bus.Keep, Safe: "take"}
	if change != nil {
		change(&c)
	}
	set := bus.New(bus.Options{})
	t.Cleanup(func() { _ = set.Close() })
	if r.Dev, err = New(c, set); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// serve plays the microcontroller: while nobody has the port open, reading fails.
func (r *rig) serve(far *os.File, over chan struct{}) {
	for {
		_ = r.mcu.Run(far)
		select {
		case <-over:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (r *rig) do(action uint8, lease time.Duration, args []link.Value) (link.Status, []link.Value) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, fmt.Sprint(action, lease, args))
	if r.fails != link.OK {
		return r.fails, nil
	}
	return link.OK, args[:1]
}

// was says what it was asked, and forgets it.
func (r *rig) was() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

func (r *rig) fail(s link.Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fails = s
}

func (r *rig) open(t *testing.T) {
	t.Helper()
	if err := r.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// listen runs the stream until the test ends.
func (r *rig) listen(t *testing.T) *drivertest.Sink {
	t.Helper()
	sink := &drivertest.Sink{}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		err := errLoader
		for errors.Is(err, errLoader) && ctx.Err() == nil { // it is run anew, as by a supervisor
			err = r.Run(ctx, sink)
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	return sink
}

// eventually waits for what a condition says.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: never", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// find is the last reading of a name.
func find(sink *drivertest.Sink, name string) (last gateway.Reading, found bool) {
	for _, batch := range sink.Batches() {
		for _, r := range batch {
			if r.Name == name {
				last, found = r, true
			}
		}
	}
	return last, found
}

func command(action string, args map[string]any) gateway.Command {
	return gateway.Command{ID: "1", Action: action, Args: args}
}

func TestContract(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) any { return wire(t, nil).Dev })
}

// TestReadings: values, units, quality, numbers and times are the microcontroller's.
func TestReadings(t *testing.T) {
	r := wire(t, nil)
	r.open(t)
	sink := r.listen(t)
	eventually(t, "who is there", func() bool { _, ok := find(sink, "firmware"); return ok })
	r.mcu.Emit(1, link.FloatValue(21.3))
	r.mcu.Emit(2, link.IntValue(-7))
	uncertain := link.BoolValue(true)
	uncertain.Quality = link.Uncertain
	r.mcu.Emit(3, uncertain)
	r.mcu.Emit(4, link.TextValue("mixing"))
	r.mcu.Emit(1, link.Value{})
	r.mcu.Emit(9, link.IntValue(1)) // the descriptor has no such channel
	r.mcu.Emit(2, link.IntValue(8))
	eventually(t, "the last reading", func() bool { l, _ := find(sink, "turns"); return l.Seq == 7 })
	var got []string
	for _, batch := range sink.Batches() {
		for _, x := range batch {
			if x.Seq > 0 {
				got = append(got, fmt.Sprintf("%d %s=%v %s %s", x.Seq, x.Name, x.Value, x.Unit, x.Quality))
				if x.Age < 0 || x.Age > time.Minute {
					t.Errorf("%s is %v old", x.Name, x.Age)
				}
			}
		}
	}
	want := []string{
		"1 temperature=21.3 Cel good", "2 turns=-7 count good", "3 door=true  uncertain", "4 state=mixing  good",
		"5 temperature=0 Cel bad", "7 turns=8 count good",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if f, _ := find(sink, "firmware"); f.Value != gateway.Text("mixer-fw 1.2.0") {
		t.Errorf("firmware %v", f.Value)
	}
}

// TestLostReadingsAreAGap: what the microcontroller has given up is told by numbers.
func TestLostReadingsAreAGap(t *testing.T) {
	r := wire(t, nil)
	r.mcu.Room = 4
	r.open(t)
	for n := range 10 {
		r.mcu.Emit(2, link.IntValue(int32(n)))
	}
	sink := r.listen(t)
	eventually(t, "the last reading", func() bool { l, _ := find(sink, "turns"); return l.Seq == 10 })
	gaps := sink.Gaps()
	if len(gaps) == 0 || gaps[0].Reason != gateway.GapLink || gaps[0].Count != gaps[0].Last-gaps[0].First+1 {
		t.Fatalf("gaps %+v", gaps)
	}
	numbers := make(map[uint64]bool)
	for _, batch := range sink.Batches() {
		for _, x := range batch {
			numbers[x.Seq] = true
		}
	}
	for _, g := range gaps {
		for n := g.First; n <= g.Last; n++ {
			if numbers[n] {
				t.Errorf("%d has come and is told lost", n)
			}
			numbers[n] = true
		}
	}
	for n := range uint64(10) {
		if !numbers[n+1] {
			t.Errorf("%d has neither come nor is it told lost", n+1)
		}
	}
}

func TestActions(t *testing.T) {
	r := wire(t, nil)
	if r.Actions() != nil {
		t.Error("actions are known before it has been seen")
	}
	r.open(t)
	var names []string
	for _, a := range r.Actions() {
		names = append(names, a.Name+" "+a.Usage())
	}
	want := []string{"set on=true|false", "dose amount=0.5..250 [kind=oats|barley]", "speed percent=0..100", "change-settings [interval=100..60000]"}
	if !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	if a := r.Actions()[1]; a.Idempotent || a.Timeout != 16*time.Second {
		t.Errorf("dose: %+v", a)
	}
	values, err := r.Do(t.Context(), command("dose", map[string]any{"amount": 2.5, "kind": "oats"}))
	if err != nil || values["amount"] != 2.5 {
		t.Errorf("%v, %v", values, err)
	}
	if got := r.was(); !slices.Equal(got, []string{"2 0s [2.5 oats]"}) {
		t.Errorf("it was asked %q", got)
	}
	r.fail(link.Denied)
	if _, err := r.Do(t.Context(), command("dose", map[string]any{"amount": 1.0})); !errors.Is(err, gateway.ErrDenied) {
		t.Errorf("forbidden: %v", err)
	}
	r.fail(link.Failed)
	if _, err := r.Do(t.Context(), command("dose", map[string]any{"amount": 1.0})); err == nil || errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("failed: %v", err)
	}
	r.fail(link.OK)
	for _, cmd := range []gateway.Command{command("dose", map[string]any{"amount": 0.1}), command("set", map[string]any{"on": 1.0}), command("change-settings", map[string]any{"interval": 1.0})} {
		r.was()
		if _, err := r.Do(t.Context(), cmd); !errors.Is(err, gateway.ErrDenied) {
			t.Errorf("%v: %v", cmd, err)
		}
		if got := r.was(); len(got) > 0 {
			t.Errorf("%v: it was asked %q", cmd, got)
		}
	}
}

func TestSettings(t *testing.T) {
	r := wire(t, nil)
	r.open(t)
	sink := r.listen(t)
	values, err := r.Do(t.Context(), command("change-settings", map[string]any{"interval": 500.0}))
	if err != nil || values["interval"] != 500.0 {
		t.Fatalf("%v, %v", values, err)
	}
	if values, err = r.Do(t.Context(), command("change-settings", nil)); err != nil || values["interval"] != 500.0 {
		t.Errorf("asked alone: %v, %v", values, err)
	}
	eventually(t, "the setting as a reading", func() bool {
		s, ok := find(sink, "setting.interval")
		return ok && s.Value == gateway.Number(500) && s.Unit == "ms"
	})
}

// TestState: what outputs are is known as long as nobody else can have changed them.
func TestState(t *testing.T) {
	r := wire(t, nil)
	r.open(t)
	sink := r.listen(t)
	rest := map[string]gateway.Value{"on": gateway.Bool(false), "speed": gateway.Number(0)}
	is := func(when string, want map[string]gateway.Value) {
		t.Helper()
		if got := r.State(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	eventually(t, "it is in session", func() bool { _, ok := find(sink, "link.reset"); return ok })
	is("after power on", rest)
	if got := r.AtRest(); fmt.Sprint(got) != fmt.Sprint(rest) {
		t.Errorf("at rest %v", got)
	}
	if err := r.Safe(t.Context()); err != nil {
		t.Error(err)
	}
	if got := r.was(); !slices.Equal(got, []string{"1 0s [false]", "3 0s [0]"}) {
		t.Errorf("the safe state: %q", got)
	}
	is("in the safe state", rest)
	do := func(action string, args map[string]any) {
		t.Helper()
		if _, err := r.Do(t.Context(), command(action, args)); err != nil {
			t.Error(err)
		}
	}
	do("set", map[string]any{"on": true})
	do("speed", map[string]any{"percent": 40.0})
	is("on", map[string]gateway.Value{"on": gateway.Bool(true), "speed": gateway.Number(40)})
	r.fail(link.Busy)
	_, _ = r.Do(t.Context(), command("set", map[string]any{"on": false}))
	is("after a refusal", map[string]gateway.Value{"on": gateway.Bool(true), "speed": gateway.Number(40)})
	r.fail(link.Failed)
	_, _ = r.Do(t.Context(), command("set", map[string]any{"on": false}))
	is("after a failure", map[string]gateway.Value{"speed": gateway.Number(40)})
	r.fail(link.OK)
	do("set", map[string]any{"on": true})
	r.mcu.Reset(4)
	eventually(t, "the reset is told", func() bool { x, _ := find(sink, "link.reset"); return x.Value == gateway.Text("watchdog") })
	is("after a reset", rest)
	if gaps := sink.Gaps(); len(gaps) != 1 || gaps[0].Reason != gateway.GapReset || gaps[0].First != 1 || gaps[0].Last != 0 {
		t.Errorf("gaps %+v", gaps)
	}
	do("set", map[string]any{"on": true})
}

// TestKeptOutputs: with safe: keep the driver moves nothing by itself.
func TestKeptOutputs(t *testing.T) {
	r := wire(t, func(c *Config) { c.Safe = "keep" })
	r.open(t)
	if err := r.Safe(t.Context()); err != nil || len(r.AtRest()) > 0 {
		t.Errorf("%v, at rest %v", err, r.AtRest())
	}
	if got := r.was(); len(got) > 0 {
		t.Errorf("it was asked %q", got)
	}
}

// TestLeases: outputs are asked for again while the gateway lives, and not after a
// reset or in the safe state.
func TestLeases(t *testing.T) {
	r := wire(t, func(c *Config) { c.Lease = 3 * time.Second })
	r.open(t)
	sink := r.listen(t)
	eventually(t, "it is in session", func() bool { _, ok := find(sink, "firmware"); return ok })
	if _, err := r.Do(t.Context(), command("set", map[string]any{"on": true})); err != nil {
		t.Fatal(err)
	}
	asked := 0
	eventually(t, "the lease is renewed", func() bool {
		for _, what := range r.was() {
			if what != "1 3s [true]" {
				t.Errorf("it was asked %s", what)
			}
			asked++
		}
		return asked >= 3
	})
	r.mcu.Reset(2)
	eventually(t, "the reset is noticed", func() bool { return r.State()["on"] == gateway.Bool(false) })
	if held := r.leased(); len(held) > 0 {
		t.Errorf("after a reset %v is renewed", held)
	}
}

// TestFailsafesOfBefore: what the microcontroller did before the gateway came is no news.
func TestFailsafesOfBefore(t *testing.T) {
	r := wire(t, func(c *Config) { c.Lease = 3 * time.Second })
	r.open(t)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	silent, err := os.OpenFile(r.path, os.O_RDWR|syscall.O_NOCTTY, 0) // time passes on a line that is there
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is safe", func() bool { safe, _ := r.mcu.Safe(); return safe })
	if err := silent.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := New(r.config, bus.New(bus.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.memory.Recall([]byte(descriptor)); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	again.LogTo(slog.New(slog.NewTextHandler(&said, nil)))
	if err := again.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Do(t.Context(), command("set", map[string]any{"on": true})); err != nil {
		t.Error(err)
	}
	asked := 0
	eventually(t, "the lease is renewed, so that it was attended to", func() bool { asked += len(r.was()); return asked > 1 })
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if strings.Contains(said.String(), "by itself") {
		t.Error(said.String())
	}
}

// TestLeaseEndsWithTheNextAction: what is renewed while an action is under way is not what
// that has ended.
func TestLeaseEndsWithTheNextAction(t *testing.T) {
	r := wire(t, func(c *Config) { c.Lease = time.Minute })
	r.open(t)
	conn, err := r.use()
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := r.Do(t.Context(), command("speed", map[string]any{"percent": 50.0})); err != nil {
			t.Fatal(err)
		}
		var renewing sync.WaitGroup
		renewing.Go(func() { r.renew(t.Context(), conn) })
		if _, err := r.Do(t.Context(), command("speed", map[string]any{"percent": 0.0})); err != nil {
			t.Fatal(err)
		}
		renewing.Wait()
		if asked := r.was(); !strings.HasSuffix(asked[len(asked)-1], fmt.Sprint([]link.Value{link.IntValue(0)})) {
			t.Fatalf("it was asked for %v", asked)
		}
	}
}

// TestWhatIsKnownSurvives: what it can do is known before it is there.
func TestWhatIsKnownSurvives(t *testing.T) {
	card := &card{}
	r := wire(t, nil)
	r.Remember(card)
	r.open(t)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if card.saves != 1 || len(card.data) > 400 {
		t.Errorf("saved %d times, %d bytes", card.saves, len(card.data))
	}
	absent, err := New(Config{Port: "/dev/ttyNOWHERE", Baud: 115200, DTR: bus.Keep, RTS: bus.Keep, Safe: "take"}, bus.New(bus.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	absent.Remember(card)
	if len(absent.Actions()) != 4 || len(absent.AtRest()) != 2 {
		t.Errorf("%v, at rest %v", absent.Actions(), absent.AtRest())
	}
	again := wire(t, nil)
	again.Remember(card)
	again.open(t)
	if card.saves != 1 {
		t.Error("the card is written although nothing is new")
	}
	for _, damaged := range [][]byte{{1, 2, 3}, packText("no descriptor"), packText(strings.Repeat("x", 100_000))} {
		d, _ := New(again.config, bus.New(bus.Options{}))
		d.Remember(&cardOf{damaged})
		if d.Actions() != nil {
			t.Errorf("% x gives %v", damaged, d.Actions())
		}
	}
}

// card is a gateway.Memory.
type card struct {
	data  []byte
	saves int
}

func (c *card) Load() ([]byte, error) { return c.data, nil }
func (c *card) Save(data []byte) error {
	c.data = slices.Clone(data)
	c.saves++
	return nil
}

// cardOf has something, and takes nothing.
type cardOf struct{ data []byte }

func (c *cardOf) Load() ([]byte, error) { return c.data, nil }
func (c *cardOf) Save([]byte) error     { return gateway.ErrFull }

func TestConfigIsChecked(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"port: is missing":         func(c *Config) { c.Port = "" },
		"lease: 1s is too short":   func(c *Config) { c.Lease = time.Second },
		"statistics: 1ms is too o": func(c *Config) { c.Statistics = time.Millisecond },
		"baud: 5 is not allowed":   func(c *Config) { c.Baud = 5 },
	} {
		c := Config{Port: "/dev/x", Baud: 115200, DTR: bus.Keep, RTS: bus.Keep}
		change(&c)
		if _, err := New(c, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	defer near.Close()
	path := near.Name()
	near.Close()
	set := bus.New(bus.Options{})
	defer set.Close()
	d, err := New(Config{Port: path, Baud: 115200, DTR: bus.Keep, RTS: bus.Keep}, set)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Open(t.Context()); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "no microcontroller has answered") {
		t.Errorf("Open: %v", err)
	}
}

// TestStatistics: what the link has counted.
func TestStatistics(t *testing.T) {
	r := wire(t, func(c *Config) { c.Statistics = time.Second })
	r.open(t)
	sink := r.listen(t)
	r.mcu.Babble([]byte("\x00garbage\x00"))
	eventually(t, "a damaged frame is counted", func() bool {
		x, _ := find(sink, "link.damaged")
		n, _ := x.Value.Number()
		return n >= 1
	})
	eventually(t, "the round trip", func() bool { x, ok := find(sink, "link.round_trip"); return ok && x.Unit == "s" })
}

// TestFloodOfLines: however much a microcontroller says, the log of the gateway takes
// little of it.
func TestFloodOfLines(t *testing.T) {
	var log strings.Builder
	d := &Dev{log: slog.New(slog.NewTextHandler(&log, nil))}
	said := teller{Dev: d}
	for range 10 * mostLines {
		said.line(t.Context(), link.Line{Level: link.Error, Text: "again", Lost: 1})
	}
	if n := strings.Count(log.String(), "again"); n != mostLines {
		t.Errorf("%d lines are logged, want %d", n, mostLines)
	}
	if n := strings.Count(log.String(), "says too much"); n != 1 {
		t.Errorf("it is told %d times that lines are dropped", n)
	}
}

// asker reads by asking for an action.
type asker struct{ *rig }

func (a asker) Read(ctx context.Context) ([]gateway.Reading, error) {
	_, err := a.Do(ctx, command("set", map[string]any{"on": true}))
	a.was()
	return []gateway.Reading{{Name: "on"}}, err
}

func TestEndures(t *testing.T) {
	r := wire(t, nil)
	r.open(t)
	drivertest.Endure(t, asker{r})
}

// FuzzRemembered: whatever is on the card, actions are declared well or not at all.
func FuzzRemembered(f *testing.F) {
	f.Add(packText(descriptor))
	f.Add(packText("device name=a\nfirmware name=b version=1.0.0\n"))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, packed []byte) {
		d, err := New(Config{Port: "/dev/x", Baud: 115200, DTR: bus.Keep, RTS: bus.Keep, Safe: "take"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		d.Remember(&cardOf{packed})
		for _, a := range d.Actions() {
			if a.Name == "" || a.Help == "" {
				t.Errorf("%+v", a)
			}
		}
		d.AtRest()
	})
}
