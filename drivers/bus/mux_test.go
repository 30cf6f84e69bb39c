package bus

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"github.com/fieldpost/fieldpost/gateway"
)

// wiring is I2C as it is wired: what is written reaches all chips that are
// connected at the moment, on the board and behind the open channels.
type wiring struct {
	chips map[uint16]string // what it says there
	muxes map[uint16]*fakeMux
}

type fakeMux struct {
	control  byte
	channels [8]*wiring
}

// fakeI2C is a bus of the board.
type fakeI2C struct {
	wiring
	t *testing.T
	// asked are the addresses of all transactions, in order.
	asked []uint16
	fault func(address uint16) error
}

func (f *fakeI2C) String() string                  { return "fake" }
func (f *fakeI2C) SetSpeed(physic.Frequency) error { return errors.New("not here") }
func (f *fakeI2C) Close() error                    { return nil }

func (f *fakeI2C) Tx(address uint16, w, r []byte) error {
	f.asked = append(f.asked, address)
	if f.fault != nil {
		if err := f.fault(address); err != nil {
			return err
		}
	}
	switch n := f.answer(address, w, r); n {
	case 0:
		return fmt.Errorf("sysfs-i2c: %w", syscall.EREMOTEIO)
	case 1:
		return nil
	default:
		f.t.Errorf("%d chips answer to %#02x", n, address)
		return nil
	}
}

func (w *wiring) answer(address uint16, out, in []byte) (answers int) {
	var behind []*wiring // a selection counts after the stop condition
	for _, m := range w.muxes {
		for n, channel := range m.channels {
			if m.control&(1<<n) != 0 && channel != nil {
				behind = append(behind, channel)
			}
		}
	}
	if says, ok := w.chips[address]; ok {
		answers++
		copy(in, says)
	}
	if m := w.muxes[address]; m != nil {
		answers++
		if len(out) > 0 {
			m.control = out[len(out)-1]
		}
		for i := range in {
			in[i] = m.control
		}
	}
	for _, channel := range behind {
		answers += channel.answer(address, out, in)
	}
	return answers
}

func openFake(t *testing.T, f *fakeI2C, configs map[string]any) *Set {
	t.Helper()
	f.t = t
	set := New(Options{Configs: configs, Hardware: Hardware{I2C: func(number int) (i2c.BusCloser, error) {
		if number != 1 {
			return nil, fmt.Errorf("opened %d", number)
		}
		return f, nil
	}}})
	t.Cleanup(func() {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	})
	return set
}

func ask(t *testing.T, set *Set, name string, address uint16) (string, error) {
	t.Helper()
	b, err := set.I2C(name)
	if err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 3)
	err = b.Tx(address, nil, answer)
	return string(answer), err
}

// greenhouse has two multiplexers on the board, and a third behind the first.
func greenhouse() (*fakeI2C, map[string]any) {
	chip := func(says string) *wiring { return &wiring{chips: map[uint16]string{0x48: says}} }
	nested := &fakeMux{channels: [8]*wiring{0: chip("a30"), 7: chip("a37")}}
	f := &fakeI2C{wiring: wiring{
		chips: map[uint16]string{0x76: "top"},
		muxes: map[uint16]*fakeMux{
			0x70: {channels: [8]*wiring{0: chip("a-0"), 3: {muxes: map[uint16]*fakeMux{0x72: nested}, chips: map[uint16]string{0x20: "a-3"}}}},
			0x71: {channels: [8]*wiring{0: chip("b-0"), 3: chip("b-3")}},
		},
	}}
	return f, map[string]any{
		"a0":  &MuxConfig{Bus: "i2c-1", Address: 0x70, Channel: 0},
		"a3":  &MuxConfig{Bus: "i2c-1", Address: 0x70, Channel: 3},
		"a30": &MuxConfig{Bus: "a3", Address: 0x72, Channel: 0},
		"a37": &MuxConfig{Bus: "a3", Address: 0x72, Channel: 7},
		"b0":  &MuxConfig{Bus: "i2c-1", Address: 0x71, Channel: 0},
		"b3":  &MuxConfig{Bus: "i2c-1", Address: 0x71, Channel: 3},
	}
}

// TestMultiplexers goes from any chip to any other, with channels left open by
// whoever was here before, transactions that fail, and multiplexers that forget:
// always the right chip answers, and it alone.
func TestMultiplexers(t *testing.T) {
	f, configs := greenhouse()
	set := openFake(t, f, configs)
	if faults := set.CheckBuses(); faults != nil {
		t.Fatal(faults)
	}
	f.muxes[0x70].control, f.muxes[0x71].control = 0xff, 0x09
	f.muxes[0x70].channels[3].muxes[0x72].control = 0xff
	chips := []struct {
		bus     string
		address uint16
		says    string
	}{
		{"i2c-1", 0x76, "top"},
		{"a0", 0x48, "a-0"},
		{"a3", 0x20, "a-3"},
		{"a30", 0x48, "a30"},
		{"a37", 0x48, "a37"},
		{"b0", 0x48, "b-0"},
		{"b3", 0x48, "b-3"},
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		chip := chips[random.IntN(len(chips))]
		says, err := ask(t, set, chip.bus, chip.address)
		if err != nil || says != chip.says {
			t.Fatalf("%+v: %q %v", chip, says, err)
		}
		switch random.IntN(20) {
		case 0: // it has lost its power
			f.muxes[0x70].control = 0
			f.fault = func(uint16) error { return syscall.EIO }
			_, err = ask(t, set, "a37", 0x48)
		case 1: // somebody else was at it, and somewhere on the way it fails
			f.muxes[0x71].control = 0x0a
			left := random.IntN(3)
			f.fault = func(uint16) error {
				if left--; left < 0 {
					return syscall.ETIMEDOUT
				}
				return nil
			}
			_, _ = ask(t, set, "b3", 0x48)
			f.fault = func(uint16) error { return syscall.ETIMEDOUT }
			_, err = ask(t, set, "i2c-1", 0x76)
		default:
			continue
		}
		if !errors.Is(err, gateway.ErrUnavailable) {
			t.Fatalf("a fault: %v", err)
		}
		f.fault = nil
	}
}

// TestChannelThatIsNotClosed: a multiplexer that was there a moment ago, and does
// not answer when its channel is to be closed, has it open. Chips behind two of
// them must not be written to at once.
func TestChannelThatIsNotClosed(t *testing.T) {
	f, configs := greenhouse()
	set := openFake(t, f, configs)
	if _, err := ask(t, set, "a0", 0x48); err != nil {
		t.Fatal(err)
	}
	f.fault = func(address uint16) error {
		if address == 0x70 {
			return syscall.EREMOTEIO
		}
		return nil
	}
	if says, err := ask(t, set, "b0", 0x48); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("%q, %v", says, err)
	}
	f.fault = nil
	if says, err := ask(t, set, "b0", 0x48); err != nil || says != "b-0" {
		t.Errorf("%q, %v", says, err)
	}
}

// TestSelectionIsRemembered: no transaction more than are needed.
func TestSelectionIsRemembered(t *testing.T) {
	f, configs := greenhouse()
	set := openFake(t, f, configs)
	for range 2 {
		if _, err := ask(t, set, "b3", 0x48); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := fmt.Sprintf("%x", f.asked), "[70 70 71 71 48 48]"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	f.asked = nil
	if _, err := ask(t, set, "b0", 0x48); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%x", f.asked), "[71 48]"; got != want {
		t.Errorf("the next channel: asked %s, want %s", got, want)
	}
}

func TestMultiplexerThatIsNone(t *testing.T) {
	f, configs := greenhouse()
	delete(f.muxes, 0x70)
	set := openFake(t, f, configs)
	if says, err := ask(t, set, "b3", 0x48); err != nil || says != "b-3" {
		t.Errorf("beside one that is missing: %q %v", says, err)
	}
	_, err := ask(t, set, "a0", 0x48)
	if !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), "multiplexer at 0x70 on i2c-1") {
		t.Errorf("behind one that is missing: %v", err)
	}
	f.chips[0x70] = "abc"
	_, err = ask(t, set, "a0", 0x48)
	if !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "it is no PCA9548A") {
		t.Errorf("another chip in its place: %v", err)
	}
}

func TestCheckBuses(t *testing.T) {
	for want, configs := range map[string]map[string]any{
		"": {
			"main": &I2CConfig{Device: "/dev/i2c-1"},
			"a":    &MuxConfig{Bus: "main", Address: 0x70},
			"b":    &MuxConfig{Bus: "a", Address: 0x71},
			"c":    &MuxConfig{Bus: "i2c-3", Address: 0x70},
		},
		"b : its /dev/i2c-1 is bus a already":           {"a": &I2CConfig{Device: "/dev/i2c-1"}, "b": &I2CConfig{Device: "/dev/i2c-1"}},
		"a bus: the bus i2c-1 is called main":           {"main": &I2CConfig{Device: "/dev/i2c-1"}, "a": &MuxConfig{Bus: "i2c-1", Address: 0x70}},
		"b : its controller 0 is bus a already":         {"a": &SPIConfig{}, "b": &SPIConfig{}},
		"a bus: there is no bus \"nowhere\"":            {"a": &MuxConfig{Bus: "nowhere", Address: 0x70}},
		"a bus: a leads back to itself":                 {"a": &MuxConfig{Bus: "a", Address: 0x70}},
		"b channel: this channel is bus a already":      {"a": &MuxConfig{Bus: "i2c-1", Address: 0x70}, "b": &MuxConfig{Bus: "i2c-1", Address: 0x70}},
		"b address: a at 0x70 is in the way":            {"a": &MuxConfig{Bus: "i2c-1", Address: 0x70}, "b": &MuxConfig{Bus: "a", Address: 0x70, Channel: 1}},
		"c address: b at 0x70 is in the way: the multi": {"a": &MuxConfig{Bus: "i2c-1", Address: 0x70}, "b": &MuxConfig{Bus: "a", Address: 0x71}, "c": &MuxConfig{Bus: "b", Address: 0x70}},
	} {
		var got string
		for _, f := range New(Options{Configs: configs}).CheckBuses() {
			got += f.Bus + " " + f.Field + ": " + f.Problem
		}
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestMeet(t *testing.T) {
	_, configs := greenhouse()
	set := New(Options{Configs: configs})
	for _, c := range []struct {
		a, b Place
		want bool
	}{
		{AtI2C("i2c-1", 0x48), AtI2C("i2c-1", 0x48), true},
		{AtI2C("i2c-1", 0x48), AtI2C("i2c-1", 0x49), false},
		{AtI2C("i2c-1", 0x48), AtI2C("a37", 0x48), true},
		{AtI2C("a37", 0x48), AtI2C("a3", 0x48), true},
		{AtI2C("a37", 0x48), AtI2C("a30", 0x48), false},
		{AtI2C("a0", 0x48), AtI2C("b0", 0x48), false},
		{AtI2C("i2c-3", 0x48), AtI2C("a37", 0x48), false},
		{Place{At: "GPIO4"}, Place{At: "GPIO4"}, true},
	} {
		if got := set.Meet(c.a, c.b); got != c.want {
			t.Errorf("%v and %v: %v", c.a, c.b, got)
		}
	}
	if got := set.Taken(); len(got) != 3 || got[1].Place != AtI2C("a3", 0x72) || got[1].By != "the multiplexer of bus a30" {
		t.Errorf("multiplexers at %v", got)
	}
}
