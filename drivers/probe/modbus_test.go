package probe_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	server "github.com/simonvetter/modbus"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/drivers/probe"
)

// units are what a probe finds on a line.
func units(t *testing.T, root string, o probe.ModbusOptions, claims ...bus.Claim) probe.Report {
	t.Helper()
	hardware := i2csim.New(nil).Hardware()
	hardware.GPIO = gpio()
	r, err := probe.Run(t.Context(), probe.Options{Root: root, Hardware: hardware, Modbus: &o, Claims: claims})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// frame adds the checksum of Modbus RTU.
func frame(body string) string {
	sum := uint16(0xffff)
	for _, b := range []byte(body) {
		sum ^= uint16(b)
		for range 8 {
			low := sum & 1
			sum >>= 1
			if low != 0 {
				sum ^= 0xa001
			}
		}
	}
	return body + string([]byte{byte(sum), byte(sum >> 8)})
}

// rtu is a port, below a root, with units that answer requests.
func rtu(t *testing.T, answers map[string]string) (root string) {
	t.Helper()
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		request := make([]byte, 8)
		for {
			if _, err := io.ReadFull(far, request); err != nil {
				return
			}
			if function := request[1]; function != 3 && function != 4 {
				t.Errorf("asked % x, which is no read of registers", request)
			}
			_, _ = far.WriteString(answers[string(request[:6])]) // the test wants to see it
		}
	}()
	t.Cleanup(func() {
		_ = near.Close()
		_ = far.SetReadDeadline(time.Unix(1, 0))
		_ = far.Close()
		<-done
	})
	return tree(t, map[string]string{"dev/ttyUSB0": "->" + near.Name(), "sys/class/tty/ttyUSB0/device/x": ""})
}

func TestUnitsOnASerialLine(t *testing.T) {
	root := rtu(t, map[string]string{
		"\x02\x03\x00\x00\x00\x01": frame("\x02\x03\x02\x02\x2b"),
		"\x03\x03\x00\x00\x00\x01": frame("\x03\x83\x01"),
		"\x03\x04\x00\x00\x00\x01": frame("\x03\x04\x02\x00\x07"),
		"\x04\x03\x00\x00\x00\x01": frame("\x04\x83\x02"),
		"\x04\x04\x00\x00\x00\x01": frame("\x04\x84\x02"),
		"\x05\x03\x00\x00\x00\x01": frame("\x05\x03\x02\x00\x01")[:5] + "xx",
	})
	r := units(t, root, probe.ModbusOptions{Line: "/dev/ttyUSB0", Baud: 19200, Parity: "even", Units: 6, Timeout: 150 * time.Millisecond})
	var text strings.Builder
	r.Print(&text)
	for _, want := range []string{
		"Modbus on /dev/ttyUSB0\n", "unit 2  holding register 0 is 555\n", "unit 3  input register 0 is 7\n",
		"unit 4  the unit has no such address (exception 2)\n", "unit 5  something answers that is damaged",
		"field: {type: modbus-rtu, port: '/dev/ttyUSB0', baud: 19200, parity: even}",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%s\nwant %s", text.String(), want)
		}
	}
	if len(r.Modbus.Units) != 4 || r.Modbus.Asked != 6 || r.Modbus.Problem != "" {
		t.Errorf("%+v", r.Modbus)
	}
	loads(t, r.YAML())
}

func TestLineThatIsInUse(t *testing.T) {
	root := rtu(t, nil)
	o := probe.ModbusOptions{Line: "/dev/ttyUSB0", Baud: 9600, Parity: "none", Units: 2, Timeout: time.Second}
	r := units(t, root, o, bus.Claim{By: "bus field", Device: "/dev/ttyUSB0", Address: bus.Whole})
	if r.Modbus.Asked != 0 || r.Modbus.Problem != "used by bus field" {
		t.Errorf("%+v", r.Modbus)
	}
	o.Line = "/dev/ttyUSB7"
	if r = units(t, root, o); r.Modbus.Asked != 0 || !strings.Contains(r.Modbus.Problem, "no such port") {
		t.Errorf("%+v", r.Modbus)
	}
}

// plc is a gateway to one unit, by another's implementation of Modbus.
type plc struct{ server.RequestHandler }

func (plc) HandleHoldingRegisters(r *server.HoldingRegistersRequest) ([]uint16, error) {
	if r.UnitId != 3 {
		return nil, server.ErrGWTargetFailedToRespond
	}
	return []uint16{1234}, nil
}

func (plc) HandleInputRegisters(*server.InputRegistersRequest) ([]uint16, error) {
	return nil, server.ErrGWTargetFailedToRespond
}

func TestUnitsInTheNetwork(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	s, err := server.NewServer(&server.ServerConfiguration{URL: "tcp://" + address, Timeout: time.Minute, MaxClients: 5, Logger: log.New(io.Discard, "", 0)}, plc{})
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	r := units(t, tree(t, map[string]string{"x": ""}), probe.ModbusOptions{Line: address, Units: 5, Timeout: 10 * time.Second})
	if got := fmt.Sprint(r.Modbus.Units); got != "[{3 holding 1234 }]" || r.Modbus.Asked != 5 || r.Modbus.Problem != "" {
		t.Errorf("%+v", r.Modbus)
	}
	loads(t, r.YAML())
}
