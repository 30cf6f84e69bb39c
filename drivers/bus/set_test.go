package bus

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/drivers/bus/modbus"
	"github.com/fieldpost/fieldpost/gateway"
)

// TestNoPortIsOpenedAtTheEnd: that could reset what is attached to it.
func TestNoPortIsOpenedAtTheEnd(t *testing.T) {
	set := New(Options{})
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
	c := PortConfig{Port: "/dev/fieldpost-none", Baud: 9600, DataBits: 8, StopBits: 1, Parity: "none", DTR: Keep, RTS: Keep}
	if _, err := set.Port(t.Context(), c); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("it was tried: %v", err)
	}
}

// TestCloseWaitsForNobodyWhoWaitsForIt: whoever is connecting asks the set for
// what it needs, which must not have to wait for the end of the set.
func TestCloseWaitsForNobodyWhoWaitsForIt(t *testing.T) {
	set := New(Options{Configs: map[string]any{"plc": &TCPConfig{Address: "127.0.0.1"}}})
	b, err := set.Modbus("plc")
	if err != nil {
		t.Fatal(err)
	}
	connecting := make(chan struct{})
	b.timeout = closeGrace * 5
	b.connect = func(context.Context) (asker, error) {
		close(connecting)
		<-b.closed
		_, err := set.I2C("i2c-1")
		return nil, err
	}
	asked := make(chan error)
	go func() {
		_, err := b.Ask(t.Context(), modbus.Read(1, modbus.Holding, 0, 1))
		asked <- err
	}()
	<-connecting
	if err := set.Close(); err != nil {
		t.Error(err)
	}
	if err := <-asked; !errors.Is(err, gateway.ErrUnavailable) {
		t.Error(err)
	}
}
