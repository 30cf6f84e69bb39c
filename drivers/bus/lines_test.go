package bus_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/gpiochip"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway"
)

// header is like a Raspberry Pi with a GPIO expander that is labelled twice.
func header() (pi *drivertest.Chip, board drivertest.GPIO) {
	pi = drivertest.NewChip("gpiochip0", "pinctrl-bcm2711", "ID_SDA", "GPIO17", "GPIO27", "")
	return pi, drivertest.GPIO{
		pi,
		drivertest.NewChip("gpiochip1", "expander", "GPIO27", "WAKE", "WAKE"),
		drivertest.NewChip("gpiochip2", "expander", "VALVE"),
	}
}

func lines(t *testing.T, board gpiochip.Board) *bus.Set {
	t.Helper()
	s := bus.New(bus.Options{Hardware: bus.Hardware{GPIO: board}})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestLinesAreFound(t *testing.T) {
	pi, board := header()
	pi.TakenBy("ID_SDA", "i2c-gpio")
	s := lines(t, board)
	for _, c := range []struct {
		line, chip string
		want       string // empty: found
		is         error
	}{
		{"GPIO17", "", "", nil},
		{"GPIO17", "pinctrl-bcm2711", "", nil},
		{"1", "pinctrl-bcm2711", "", nil},
		{"3", "gpiochip0", "", nil},
		{"GPIO27", "pinctrl-bcm2711", "", nil},
		{"VALVE", "expander", "", nil},
		{"GPIO27", "", "more than one GPIO line GPIO27: GPIO27, line 2 of gpiochip0 (pinctrl-bcm2711), GPIO27, line 0 of gpiochip1 (expander)", gateway.ErrInvalid},
		{"WAKE", "gpiochip1", "more than one GPIO line WAKE", gateway.ErrInvalid},
		{"0", "expander", "more than one GPIO line 0", gateway.ErrInvalid},
		{"GPIO71", "", "no GPIO line is called GPIO71 on gpiochip0 (pinctrl-bcm2711, 4 lines), gpiochip1", gateway.ErrUnavailable},
		{"4", "gpiochip0", "no GPIO line is called 4 on gpiochip0", gateway.ErrUnavailable},
		{"GPIO17", "pinctrl-rp1", `no GPIO chip "pinctrl-rp1"; want gpiochip0 (pinctrl-bcm2711, 4 lines), `, gateway.ErrUnavailable},
		{"ID_SDA", "", `ID_SDA, line 0 of gpiochip0 (pinctrl-bcm2711) is in use by "i2c-gpio"`, gateway.ErrUnavailable},
	} {
		in, err := s.Input(bus.LineConfig{Line: c.line, Chip: c.chip}, bus.InputOptions{})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%+v: %v", c, err)
		case c.want == "":
			if err := in.Close(); err != nil {
				t.Error(err)
			}
		case err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, c.is):
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestLineOfTheGatewayItself(t *testing.T) {
	_, board := header()
	s := lines(t, board)
	first, err := s.Input(bus.LineConfig{Line: "GPIO17"}, bus.InputOptions{})
	if err != nil {
		t.Fatal(err)
	}
	same := bus.LineConfig{Line: "1", Chip: "gpiochip0"}
	if _, err := s.Output(same, bus.OutputOptions{}); err == nil || !strings.Contains(err.Error(), "in use by fieldpost itself") {
		t.Errorf("a line twice: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := s.Output(same, bus.OutputOptions{})
	if err != nil {
		t.Fatalf("a line that was given back: %v", err)
	}
	_ = again.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Input(same, bus.InputOptions{}); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
}

// slowBoard does not come back before it is told to.
type slowBoard struct {
	drivertest.GPIO
	asked, let chan struct{}
}

func (b slowBoard) Request(chip string, offset int, c gpiochip.Config) (gpiochip.Line, error) {
	close(b.asked)
	<-b.let
	return b.GPIO.Request(chip, offset, c)
}

// TestLineThatTheKernelDoesNotGive, as of an expander on a bus that is stuck,
// holds up nobody else, nor the end.
func TestLineThatTheKernelDoesNotGive(t *testing.T) {
	_, pins := header()
	board := slowBoard{pins, make(chan struct{}), make(chan struct{})}
	opened := errors.New("another bus is asked for")
	s := bus.New(bus.Options{Hardware: bus.Hardware{GPIO: board, I2C: func(int) (i2c.BusCloser, error) { return nil, opened }}})
	asking := make(chan error)
	go func() {
		_, err := s.Input(bus.LineConfig{Line: "GPIO17"}, bus.InputOptions{})
		asking <- err
	}()
	<-board.asked
	others := make(chan error)
	go func() {
		_, err := s.I2C("i2c-1")
		if errors.Is(err, opened) {
			err = s.Close()
		}
		others <- err
	}()
	select {
	case err := <-others:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("everybody waits for the line")
	}
	close(board.let)
	if err := <-asking; err != nil {
		t.Error(err)
	}
}

// unreadable is a board with a chip that this user may not open.
type unreadable struct{ drivertest.GPIO }

func (u unreadable) Chips() ([]gpiochip.Chip, error) {
	chips, _ := u.GPIO.Chips()
	return chips, errors.New("open /dev/gpiochip9: permission denied")
}

func TestChipsThatCannotBeReadAreNamed(t *testing.T) {
	_, board := header()
	s := lines(t, unreadable{board})
	if _, err := s.Input(bus.LineConfig{Line: "GPIO99"}, bus.InputOptions{}); err == nil || !strings.Contains(err.Error(), "gpiochip9: permission denied") {
		t.Errorf("%v", err)
	}
	in, err := s.Input(bus.LineConfig{Line: "GPIO17"}, bus.InputOptions{})
	if err != nil {
		t.Fatalf("a line of another chip: %v", err)
	}
	_ = in.Close()
	none := lines(t, drivertest.GPIO{})
	if _, err := none.Input(bus.LineConfig{Line: "GPIO17"}, bus.InputOptions{}); err == nil || !strings.Contains(err.Error(), "there is no GPIO chip") {
		t.Errorf("%v", err)
	}
}

func TestOffsetsNeedTheirChip(t *testing.T) {
	for c, ok := range map[bus.LineConfig]bool{
		{Line: "17"}: false, {Line: "17", Chip: "gpiochip0"}: true, {Line: "GPIO17"}: true, {Line: "17A"}: true,
	} {
		var fault *gateway.FieldError
		if err := c.Validate(); (err == nil) != ok || err != nil && !errors.As(err, &fault) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	at := bus.LineConfig{Line: "17", Chip: "expander"}
	if where := bus.Where(at); where != "expander line 17" {
		t.Errorf("it is said to be on %s", where)
	}
}

// TestOutputsHaveTheirLevelFromTheFirstMoment: no level before the one that is
// wanted, whatever counts as active.
func TestOutputsHaveTheirLevelFromTheFirstMoment(t *testing.T) {
	for _, c := range []struct{ activeLow, initial, high bool }{
		{false, false, false}, {false, true, true}, {true, false, true}, {true, true, false},
	} {
		pi, board := header()
		out, err := lines(t, board).Output(bus.LineConfig{Line: "GPIO17"}, bus.OutputOptions{ActiveLow: c.activeLow, Initial: c.initial})
		if err != nil {
			t.Fatal(err)
		}
		if h := pi.History("GPIO17"); !slices.Equal(h, []bool{c.high}) || out.Active() != c.initial {
			t.Errorf("%+v: driven %v, active %t", c, h, out.Active())
		}
		if err := out.Set(!c.initial); err != nil || out.Active() == c.initial || pi.Level("GPIO17") == c.high {
			t.Errorf("%+v: set: %v", c, err)
		}
		_ = out.Close()
	}
}

func TestKeptOutputsAreLeftAlone(t *testing.T) {
	pi, board := header()
	s := lines(t, board)
	pi.Drive("GPIO17", true)
	keep := bus.OutputOptions{Keep: true, ActiveLow: true, Initial: true}
	out, err := s.Output(bus.LineConfig{Line: "GPIO17"}, keep)
	if err != nil {
		t.Fatal(err)
	}
	if h := pi.History("GPIO17"); len(h) != 0 || out.Active() {
		t.Errorf("driven %v, active %t", h, out.Active())
	}
	if err := out.Set(true); err != nil || pi.Level("GPIO17") {
		t.Errorf("set: %v", err)
	}
	_ = out.Close()
	if out, err = s.Output(bus.LineConfig{Line: "GPIO17"}, keep); err != nil || !out.Active() || len(pi.History("GPIO17")) != 1 {
		t.Errorf("taken again: %v, driven %v", err, pi.History("GPIO17"))
	}
	_ = out.Close()
}

func TestLostLines(t *testing.T) {
	pi, board := header()
	s := lines(t, board)
	out, err := s.Output(bus.LineConfig{Line: "GPIO17"}, bus.OutputOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Check(); err != nil {
		t.Fatal(err)
	}
	pi.Unplug()
	pi.Plug() // what was taken before stays lost
	if err := out.Check(); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("Check: %v", err)
	}
	if err := out.Set(true); !errors.Is(err, gateway.ErrUnavailable) || out.Active() {
		t.Errorf("Set: %v, active %t", err, out.Active())
	}
	_ = out.Close()
	if out, err = s.Output(bus.LineConfig{Line: "GPIO17"}, bus.OutputOptions{}); err != nil {
		t.Fatalf("when it is back: %v", err)
	}
	_ = out.Close()
}

// TestEdgesThatWereDroppedAreCounted: nobody looks for longer than the kernel
// can remember.
func TestEdgesThatWereDroppedAreCounted(t *testing.T) {
	pi, board := header()
	in, err := lines(t, board).Input(bus.LineConfig{Line: "GPIO17"}, bus.InputOptions{Edges: gpiochip.BothEdges, ActiveLow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	const all = 10_000
	seen, lost := 0, 0
	for i := range all {
		pi.Drive("GPIO17", i%2 == 0)
		if i != all/2 {
			continue
		}
		s, l := drain(t, in)
		seen, lost = seen+s, lost+l
	}
	s, l := drain(t, in)
	seen, lost = seen+s, lost+l
	if seen+lost != all || seen < 2*gpiochip.EventBuffer {
		t.Errorf("%d seen, %d lost of %d", seen, lost, all)
	}
}

// drain takes the edges that are there.
func drain(t *testing.T, in *bus.Input) (seen, lost int) {
	t.Helper()
	for {
		got, err := in.Edges(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Edges) == 0 {
			return seen, lost
		}
		seen += len(got.Edges)
		lost += int(got.Lost)
	}
}

func TestWaitingForEdgesEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pi, board := header()
		in, err := lines(t, board).Input(bus.LineConfig{Line: "GPIO17"}, bus.InputOptions{Edges: gpiochip.BothEdges})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if got, err := in.Edges(t.Context(), began.Add(time.Second)); err != nil || len(got.Edges) != 0 || time.Since(began) != time.Second {
			t.Errorf("until a moment: %v %v after %v", got, err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := in.Edges(ctx, time.Time{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("to the end of the context: %v", err)
		}
		go pi.Drive("GPIO17", true)
		if got, err := in.Edges(t.Context(), time.Time{}); err != nil || len(got.Edges) != 1 || !got.Edges[0].Active {
			t.Errorf("an edge: %v %v", got, err)
		}
		go in.Close()
		if _, err := in.Edges(t.Context(), time.Time{}); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("closed meanwhile: %v", err)
		}
	})
}
