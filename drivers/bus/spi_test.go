package bus

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
)

// fakeSPI is one chip select, which echoes what is written, inverted.
type fakeSPI struct {
	speed             physic.Frequency
	connected, closed bool
	fault             error
	hang              chan struct{}
}

func (f *fakeSPI) String() string                    { return "fake" }
func (f *fakeSPI) Close() error                      { f.closed = true; return nil }
func (f *fakeSPI) LimitSpeed(physic.Frequency) error { return errors.New("not used") }
func (f *fakeSPI) Duplex() conn.Duplex               { return conn.Full }
func (f *fakeSPI) TxPackets([]spi.Packet) error      { return errors.New("not used") }
func (f *fakeSPI) Connect(s physic.Frequency, mode spi.Mode, bits int) (spi.Conn, error) {
	if f.connected || mode != spi.Mode1 || bits != 8 {
		return nil, fmt.Errorf("connected %v, mode %v, %d bits", f.connected, mode, bits)
	}
	f.connected, f.speed = true, s
	return f, nil
}

func (f *fakeSPI) Tx(w, r []byte) error {
	if f.hang != nil {
		<-f.hang
	}
	for i := range r {
		r[i] = ^w[i]
	}
	return f.fault
}

func spiSet(t *testing.T, c map[string]any) (*Set, *[]*fakeSPI, *strings.Builder) {
	t.Helper()
	var opened []*fakeSPI
	var record strings.Builder
	set := New(Options{
		Configs: c,
		Record: func(tx Transaction) {
			tx.Took = time.Millisecond
			fmt.Fprintln(&record, tx)
		},
		Hardware: Hardware{SPI: func(controller, chipSelect int) (spi.PortCloser, error) {
			if controller != 0 || chipSelect > 1 {
				return nil, errors.New("no such file or directory")
			}
			f := &fakeSPI{}
			opened = append(opened, f)
			return f, nil
		}},
	})
	return set, &opened, &record
}

var plainMode = SPIMode{MaxSpeed: physic.MegaHertz, Mode: spi.Mode1}

func chipOf(t *testing.T, set *Set, name string, chipSelect int, m SPIMode) *SPIChip {
	t.Helper()
	b, err := set.SPI(name)
	if err != nil {
		t.Fatal(err)
	}
	chip, err := b.Chip(chipSelect, m)
	if err != nil {
		t.Fatal(err)
	}
	return chip
}

func TestSPI(t *testing.T) {
	set, opened, record := spiSet(t, nil)
	chip := chipOf(t, set, "spi-0", 1, plainMode)
	r := make([]byte, 2)
	if err := chip.Tx([]byte{1, 0x80}, r); err != nil || r[0] != 0xfe || r[1] != 0x7f {
		t.Errorf("%x %v", r, err)
	}
	if again := chipOf(t, set, "spi-0", 1, plainMode); again != chip || len(*opened) != 1 {
		t.Errorf("asked again: another one, %d opened", len(*opened))
	}
	slow := chipOf(t, set, "spi-0", 1, SPIMode{MaxSpeed: physic.KiloHertz, Mode: spi.Mode1})
	if len(*opened) != 2 || !(*opened)[0].closed {
		t.Error("with another mode it is not opened anew")
	}
	if err := chip.Tx([]byte{1}, nil); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("of the mode before: %v", err)
	}
	for _, bad := range [][2]int{{2, 1}, {maxSPI + 1, 0}, {0, maxSPI + 1}} {
		if err := slow.Tx(make([]byte, bad[0]), make([]byte, bad[1])); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	(*opened)[1].fault = errors.New("cannot send after transport endpoint shutdown")
	if err := slow.Tx([]byte{2, 3}, r); !errors.Is(err, gateway.ErrUnavailable) || !(*opened)[1].closed {
		t.Errorf("a file that fails: %v, closed %v", err, (*opened)[1].closed)
	}
	want := "spi-0 cs1 w 0180 r fe7f 1ms\n" +
		"spi-0 cs1 w 0203 r xxxx 1ms the transfer has failed: cannot send after transport endpoint shutdown: unavailable\n"
	if record.String() != want {
		t.Errorf("recorded\n%swant\n%s", record, want)
	}
	if b, _ := set.SPI("spi-0"); b != nil {
		if _, err := b.Chip(2, plainMode); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "/dev/spidev0.2 cannot be opened; is SPI enabled") {
			t.Errorf("no such chip select: %v", err)
		}
	}
	_ = chipOf(t, set, "spi-0", 0, plainMode)
	if err := set.Close(); err != nil || !(*opened)[2].closed {
		t.Errorf("Close: %v, closed %v", err, (*opened)[2].closed)
	}
	if _, err := set.SPI("spi-0"); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
}

func TestSPISpeed(t *testing.T) {
	for most, want := range map[config.Frequency]physic.Frequency{0: physic.MegaHertz, 500e3: 500 * physic.KiloHertz, 5e6: physic.MegaHertz} {
		set, opened, _ := spiSet(t, map[string]any{"adc": &SPIConfig{MaxSpeed: most, Timeout: time.Second}})
		chipOf(t, set, "adc", 0, plainMode)
		if got := (*opened)[0].speed; got != want {
			t.Errorf("max_speed %v: %v, want %v", most, got, want)
		}
	}
}

// TestSPIStuck: the chips of one controller share its turn.
func TestSPIStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set, opened, _ := spiSet(t, nil)
		first, second := chipOf(t, set, "spi-0", 0, plainMode), chipOf(t, set, "spi-0", 1, plainMode)
		hang := make(chan struct{})
		(*opened)[0].hang = hang
		if err := first.Tx([]byte{1}, nil); !errors.Is(err, gateway.ErrTimeout) {
			t.Error(err)
		}
		if err := second.Tx([]byte{1}, nil); !errors.Is(err, gateway.ErrTimeout) || !strings.Contains(err.Error(), "with cs0") {
			t.Error(err)
		}
		close(hang)
		synctest.Wait()
		if err := second.Tx([]byte{1}, nil); err != nil {
			t.Error(err)
		}
	})
}
