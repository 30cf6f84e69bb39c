package bus_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/bus/modbus"
	"github.com/fieldpost/fieldpost/gateway"
)

// modbusLine is a serial bus called field; each answer is for one request. What
// is asked beyond is told by the channel.
func modbusLine(t *testing.T, timeout time.Duration, answers ...string) (*line, *bus.Modbus, <-chan struct{}) {
	t.Helper()
	l := newLine(t)
	l.set = bus.New(bus.Options{Configs: map[string]any{
		"field": &bus.RTUConfig{PortConfig: l.config(), Timeout: timeout, Retries: 2},
	}})
	// The far end of a line that nobody has open gives errors.
	near, err := os.OpenFile(l.path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	asked := make(chan struct{})
	go func() {
		request := make([]byte, 8)
		for _, answer := range answers {
			if _, err := io.ReadFull(l.far, request); err != nil {
				return
			}
			if _, err := io.WriteString(l.far, answer); err != nil {
				return
			}
		}
		if _, err := io.ReadFull(l.far, request); err == nil {
			close(asked)
			_, _ = io.Copy(io.Discard, l.far)
		}
	}()
	b, err := l.set.Modbus("field")
	if err != nil {
		t.Fatal(err)
	}
	return l, b, asked
}

// frames of unit 1 whose holding register 0 is 0x022b.
const (
	answer  = "\x01\x03\x02\x02\x2b\xf9\x3b"
	damaged = "\x01\x03\x02\x02\x2a\xf9\x3b"
)

var readRegister = modbus.Read(1, modbus.Holding, 0, 1)

func TestModbusOnALine(t *testing.T) {
	_, b, _ := modbusLine(t, 10*time.Second, answer, damaged, answer)
	for range 2 { // the second is repeated once
		values, err := b.Ask(t.Context(), readRegister)
		if err != nil || binary.BigEndian.Uint16(values) != 0x22b {
			t.Fatalf("% x, %v", values, err)
		}
	}
}

func TestModbusUnitThatIsSilent(t *testing.T) {
	_, b, _ := modbusLine(t, 200*time.Millisecond)
	_, err := b.Ask(t.Context(), readRegister)
	if !errors.Is(err, gateway.ErrUnavailable) || !errors.Is(err, gateway.ErrTimeout) || !strings.Contains(err.Error(), "no answer from unit 1; check its address") {
		t.Errorf("%v", err)
	}
}

// TestModbusAnswerThatIsMissing says little of a unit that has answered before:
// its outputs must not go to their safe state for it.
func TestModbusAnswerThatIsMissing(t *testing.T) {
	_, b, asked := modbusLine(t, 500*time.Millisecond, answer, "", answer, "", "")
	for range 2 {
		if _, err := b.Ask(t.Context(), readRegister); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Ask(t.Context(), readRegister); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("two are missing: %v", err)
	}
	select {
	case <-asked:
		t.Error("it was asked more often than twice")
	default:
	}
}

// TestModbusLineUnplugged tells that from a silent unit.
func TestModbusLineUnplugged(t *testing.T) {
	l, b, _ := modbusLine(t, 10*time.Second, answer)
	if _, err := b.Ask(t.Context(), readRegister); err != nil {
		t.Fatal(err)
	}
	l.far.Close()
	for range 2 {
		if _, err := b.Ask(t.Context(), readRegister); !errors.Is(err, gateway.ErrUnavailable) || errors.Is(err, gateway.ErrTimeout) {
			t.Errorf("%v", err)
		}
	}
}

// TestModbusSlowLine: what a frame takes on the line, and the silence before it,
// are not taken from the time of the unit.
func TestModbusSlowLine(t *testing.T) {
	l, _, _ := modbusLine(t, time.Second, answer)
	slow := l.config()
	slow.Baud = 300
	set := bus.New(bus.Options{Configs: map[string]any{"slow": &bus.RTUConfig{PortConfig: slow, Timeout: 50 * time.Millisecond}}})
	t.Cleanup(func() { _ = set.Close() })
	b, err := set.Modbus("slow")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Ask(t.Context(), readRegister); err != nil {
		t.Errorf("%v", err)
	}
}

// TestModbusUnitWithoutItsTime: that a caller has no time left says nothing of the
// unit, which must not be closed for it.
func TestModbusUnitWithoutItsTime(t *testing.T) {
	_, b, _ := modbusLine(t, time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.Ask(ctx, readRegister); !errors.Is(err, gateway.ErrTimeout) || errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// TestModbusWriteIsNotRepeated: it may have been carried out.
func TestModbusWriteIsNotRepeated(t *testing.T) {
	_, b, _ := modbusLine(t, 10*time.Second, damaged+"\x00", "\x01\x06\x00\x01\x00\x03\x98\x0b")
	write := modbus.WriteRegister(1, 1, 3)
	if _, err := b.Ask(t.Context(), write); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("a damaged confirmation: %v", err)
	}
	if _, err := b.Ask(t.Context(), write); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

// tcpUnit answers requests for one register, and closes each connection after
// so many of them.
func tcpUnit(t *testing.T, perConnection int) (address string, connections *atomic.Int32) {
	t.Helper()
	return tcpUnitThatTells(t, perConnection, func() {})
}

// tcpUnitThatTells says when it has closed a connection.
func tcpUnitThatTells(t *testing.T, perConnection int, closed func()) (address string, connections *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	connections = new(atomic.Int32)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			go func() {
				defer closed()
				defer conn.Close()
				request := make([]byte, 12)
				for range perConnection {
					if _, err := io.ReadFull(conn, request); err != nil {
						return
					}
					if request[7] > 4 { // it confirms a write
						_, _ = conn.Write(request)
						continue
					}
					_, _ = conn.Write(append(request[:4:4], 0, 5, request[6], 3, 2, request[8], request[9]))
				}
			}()
		}
	}()
	return listener.Addr().String(), connections
}

func overTCP(t *testing.T, address string, timeout time.Duration) *bus.Modbus {
	t.Helper()
	set := bus.New(bus.Options{Configs: map[string]any{"plc": &bus.TCPConfig{Address: address, Timeout: timeout}}})
	t.Cleanup(func() {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	})
	b, err := set.Modbus("plc")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestModbusConnectionClosedWhileIdle is nobody's fault and not seen.
func TestModbusConnectionClosedWhileIdle(t *testing.T) {
	address, connections := tcpUnit(t, 1)
	b := overTCP(t, address, 10*time.Second)
	for range 5 {
		if _, err := b.Ask(t.Context(), readRegister); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 5 {
		t.Errorf("%d connections, want 5", n)
	}
}

// TestModbusWriteAfterIdle: a connection that was closed while nobody asked is
// replaced before a write is sent on it, since that must not be repeated.
func TestModbusWriteAfterIdle(t *testing.T) {
	closed := make(chan struct{})
	address, _ := tcpUnitThatTells(t, 1, func() { closed <- struct{}{} })
	b := overTCP(t, address, 10*time.Second)
	for range 3 {
		if _, err := b.Ask(t.Context(), modbus.WriteRegister(1, 1, 3)); err != nil {
			t.Fatal(err)
		}
		<-closed
	}
}

func TestModbusNobodyThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	b := overTCP(t, address, 10*time.Second)
	if _, err := b.Ask(t.Context(), readRegister); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// TestModbusTurns has many ask at once: each gets the answer to its own request.
func TestModbusTurns(t *testing.T) {
	address, _ := tcpUnit(t, 1000)
	b := overTCP(t, address, 10*time.Second)
	done := make(chan error)
	const askers = 20
	for i := range uint16(askers) {
		go func() {
			for range 10 {
				values, err := b.Ask(t.Context(), modbus.Read(1, modbus.Holding, i, 1))
				if err == nil && binary.BigEndian.Uint16(values) != i {
					err = errors.New("the answer is that of somebody else")
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range askers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestModbusBusyEndsWithTheContext: who waits behind another waits no longer.
func TestModbusBusyEndsWithTheContext(t *testing.T) {
	_, b, heard := modbusLine(t, time.Minute)
	first, stop := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() {
		_, err := b.Ask(first, readRegister)
		asked <- err
	}()
	<-heard // the first has the bus now
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.Ask(ctx, readRegister); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	stop()
	if err := <-asked; !errors.Is(err, context.Canceled) {
		t.Errorf("the first: %v", err)
	}
}
