package modbus

import (
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	server "github.com/simonvetter/modbus"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway"
)

// unit is a unit by another's implementation of Modbus. It has the registers
// and coils from 0 to 99, but for a hole.
type unit struct {
	mu       sync.Mutex
	holding  [100]uint16
	coils    [100]bool
	hole     int
	requests int
}

func (u *unit) has(address, count uint16) error {
	u.requests++
	end := int(address) + int(count)
	if end > len(u.holding) || u.hole > 0 && int(address) <= u.hole && u.hole < end {
		return server.ErrIllegalDataAddress
	}
	return nil
}

func (u *unit) HandleCoils(r *server.CoilsRequest) ([]bool, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.has(r.Addr, r.Quantity); err != nil {
		return nil, err
	}
	if r.IsWrite {
		copy(u.coils[r.Addr:], r.Args)
	}
	return slices.Clone(u.coils[r.Addr : r.Addr+r.Quantity]), nil
}

func (u *unit) HandleDiscreteInputs(r *server.DiscreteInputsRequest) ([]bool, error) {
	return u.HandleCoils(&server.CoilsRequest{Addr: r.Addr, Quantity: r.Quantity})
}

func (u *unit) HandleHoldingRegisters(r *server.HoldingRegistersRequest) ([]uint16, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.has(r.Addr, r.Quantity); err != nil {
		return nil, err
	}
	if r.IsWrite {
		copy(u.holding[r.Addr:], r.Args)
	}
	return slices.Clone(u.holding[r.Addr : r.Addr+r.Quantity]), nil
}

func (u *unit) HandleInputRegisters(r *server.InputRegistersRequest) ([]uint16, error) {
	return u.HandleHoldingRegisters(&server.HoldingRegistersRequest{Addr: r.Addr, Quantity: r.Quantity})
}

// serve starts the unit and returns the buses with it.
func (u *unit) serve(t *testing.T) *bus.Set {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	s, err := server.NewServer(&server.ServerConfiguration{
		URL: "tcp://" + address, Timeout: time.Minute, MaxClients: 5, Logger: log.New(io.Discard, "", 0),
	}, u)
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	set := bus.New(bus.Options{Configs: map[string]any{"plc": &bus.TCPConfig{Address: address, Timeout: 10 * time.Second}}})
	t.Cleanup(func() {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	})
	return set
}

func open(t *testing.T, u *unit, c Config) *Dev {
	t.Helper()
	c.Bus, c.Unit, c.MaxRegisters, c.Order = "plc", 1, 100, "ABCD"
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	d, err := New(c, u.serve(t))
	if err == nil {
		err = d.Open(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// register is one with the defaults of the config.
func register(name, table, kind string, address int, more ...func(*RegisterConfig)) RegisterConfig {
	r := RegisterConfig{Name: name, Table: table, Type: kind, Address: address, Scale: 1}
	for _, f := range more {
		f(&r)
	}
	return r
}

func writable(low, high float64) func(*RegisterConfig) {
	return func(r *RegisterConfig) { r.Write = &WriteConfig{Min: &low, Max: &high} }
}

func unitOf(code string, scale float64) func(*RegisterConfig) {
	return func(r *RegisterConfig) { r.Unit, r.Scale = code, scale }
}

var boiler = []RegisterConfig{
	register("flow", "holding", "int16", 2, unitOf("Cel", 0.1)),
	register("setpoint", "holding", "int16", 4, unitOf("Cel", 0.1), writable(5, 80)),
	register("pump", "coil", "uint16", 3, func(r *RegisterConfig) { r.Write = &WriteConfig{} }),
	register("energy", "input", "uint32", 10, unitOf("kWh", 0.01)),
}

func TestContract(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) any {
		return open(t, &unit{}, Config{Registers: boiler, Safe: map[string]float64{"setpoint": 20, "pump": 0}})
	})
}

func show(readings []gateway.Reading) string {
	var all []string
	for _, r := range readings {
		all = append(all, strings.TrimSpace(fmt.Sprint(r.Name, " ", r.Value, " ", r.Unit)))
	}
	return strings.Join(all, "; ")
}

func TestReads(t *testing.T) {
	u := &unit{}
	u.holding[2], u.holding[4] = 0xffce, 605 // -50
	u.holding[10], u.holding[11] = 1, 0xe240 // 123456
	u.coils[3] = true
	d := open(t, u, Config{Registers: boiler, MaxGap: 8})
	readings, err := d.Read(t.Context())
	if want := "pump true; flow -5 Cel; setpoint 60.5 Cel; energy 1234.56 kWh"; err != nil || show(readings) != want {
		t.Errorf("%s, %v; want %s", show(readings), err, want)
	}
}

// TestHole: a request over a hole is refused, and split for good.
func TestHole(t *testing.T) {
	u := &unit{hole: 3}
	d := open(t, u, Config{Registers: boiler[:2], MaxGap: 8})
	for i, want := range []int{3, 2} { // one in vain, then one for each
		u.requests = 0
		readings, err := d.Read(t.Context())
		if err != nil || len(readings) != 2 || u.requests != want {
			t.Errorf("read %d: %v, %v by %d requests, want %d", i, readings, err, u.requests, want)
		}
	}
}

func TestOneRegisterThatIsNotThere(t *testing.T) {
	d := open(t, &unit{}, Config{Registers: append(slices.Clone(boiler), register("far", "holding", "uint16", 500))})
	readings, err := d.Read(t.Context())
	if len(readings) != 4 || !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), "holding registers 500 to 500: the unit has no such address (exception 2)") {
		t.Errorf("%s, %v", show(readings), err)
	}
}

func TestWrites(t *testing.T) {
	u := &unit{}
	d := open(t, u, Config{Registers: boiler})
	values, err := d.Do(t.Context(), gateway.Command{Action: "set", Args: map[string]any{"setpoint": 61.5, "pump": true}})
	if err != nil || values["setpoint"] != 61.5 || values["pump"] != true || u.holding[4] != 615 || !u.coils[3] {
		t.Errorf("%v, %v, register %d, coil %v", values, err, u.holding[4], u.coils[3])
	}
	for _, args := range []map[string]any{{"setpoint": 80.1}, {"flow": 1.0}, {}, {"pump": 1.0}, {"setpoint": "hot"}} {
		before := u.holding
		if _, err := d.Do(t.Context(), gateway.Command{Action: "set", Args: args}); !errors.Is(err, gateway.ErrDenied) || u.holding != before {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestSafe(t *testing.T) {
	u := &unit{}
	u.coils[3] = true
	d := open(t, u, Config{Registers: boiler, Safe: map[string]float64{"setpoint": 20, "pump": 0}})
	if err := d.Safe(t.Context()); err != nil || u.holding[4] != 200 || u.coils[3] {
		t.Errorf("%v, register %d, coil %v", err, u.holding[4], u.coils[3])
	}
}

func TestValues(t *testing.T) {
	missing, bit := uint64(0x8000), 3
	for _, c := range []struct {
		r     RegisterConfig
		order string
		data  []byte
		want  string
	}{
		{register("x", "holding", "uint16", 0), "ABCD", []byte{0xff, 0xff}, "65535"},
		{register("x", "holding", "int16", 0), "BADC", []byte{0xff, 0x7f}, "32767"},
		{register("x", "holding", "int32", 0), "CDAB", []byte{0xff, 0xfe, 0xff, 0xff}, "-2"},
		{register("x", "holding", "uint32", 0), "DCBA", []byte{4, 3, 2, 1}, "16909060"},
		{register("x", "holding", "float32", 0), "ABCD", []byte{0x41, 0xac, 0, 0}, "21.5"},
		{register("x", "holding", "float32", 0), "CDAB", []byte{0, 0, 0x41, 0xac}, "21.5"},
		{register("x", "holding", "float64", 0), "ABCD", []byte{0x40, 0x35, 0x80, 0, 0, 0, 0, 0}, "21.5"},
		{register("x", "holding", "int64", 0), "CDAB", []byte{0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "-2"},
		{register("x", "holding", "text", 0, func(r *RegisterConfig) { r.Length = 3 }), "ABCD", []byte("AB12 \x00"), "AB12"},
		{register("x", "holding", "uint16", 0, func(r *RegisterConfig) { r.Missing = &missing }), "ABCD", []byte{0x80, 0}, "none"},
		{register("x", "holding", "uint16", 0, func(r *RegisterConfig) { r.Bit = &bit }), "ABCD", []byte{0, 8}, "true"},
		{register("x", "holding", "float32", 0), "ABCD", []byte{0x7f, 0xc0, 0, 0}, "no number"},
		{register("x", "holding", "text", 0, func(r *RegisterConfig) { r.Length = 1 }), "ABCD", []byte{0xc3, 0xbc}, "no text"},
	} {
		v, ok, err := c.r.value(arrange(c.data, c.order))
		got := v.String()
		switch {
		case err != nil:
			got = err.Error()
		case !ok:
			got = "none"
		}
		if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
			t.Errorf("%s %s % x: %s, want %s", c.r.Type, c.order, c.data, got, c.want)
		}
	}
}

// TestRegistersComeBack writes values and reads them.
func TestRegistersComeBack(t *testing.T) {
	for _, kind := range []string{"uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"} {
		for _, order := range []string{"ABCD", "CDAB", "BADC", "DCBA"} {
			r := register("x", "holding", kind, 0, unitOf("", 0.5))
			r.Offset = 10
			words, err := r.registers(120.5, order)
			if err != nil {
				t.Fatal(err)
			}
			var data []byte
			for _, w := range words {
				data = append(data, byte(w>>8), byte(w))
			}
			v, ok, err := r.value(arrange(data, order))
			if n, _ := v.Number(); err != nil || !ok || n != 120.5 {
				t.Errorf("%s %s: %v, %v", kind, order, v, err)
			}
		}
	}
	for kind, n := range map[string]float64{"uint16": 65536, "int16": -32769, "uint32": -1, "int64": math.Ldexp(1, 63), "float32": 1e39} {
		r := register("x", "holding", kind, 0)
		if words, err := r.registers(n, "ABCD"); !errors.Is(err, gateway.ErrDenied) {
			t.Errorf("%v as %s: %v, %v", n, kind, words, err)
		}
	}
}

func TestGroups(t *testing.T) {
	bits := []RegisterConfig{register("a", "coil", "uint16", 0), register("b", "coil", "uint16", 100), register("c", "discrete", "uint16", 0)}
	words := []RegisterConfig{
		register("e", "holding", "uint32", 12), register("d", "holding", "uint16", 0), register("f", "holding", "uint16", 12),
		register("g", "holding", "float64", 20), register("h", "input", "uint16", 21),
	}
	for _, c := range []struct {
		registers  []RegisterConfig
		limit, gap int
		want       string
	}{
		{bits, 100, 8, "coils 0 to 100, discrete inputs 0 to 0"},
		{bits, 100, 0, "coils 0 to 0, coils 100 to 100, discrete inputs 0 to 0"},
		{words, 100, 8, "holding registers 0 to 0, holding registers 12 to 23, input registers 21 to 21"},
		{words, 100, 20, "holding registers 0 to 23, input registers 21 to 21"},
		{words, 4, 100, "holding registers 0 to 0, holding registers 12 to 13, holding registers 20 to 23, input registers 21 to 21"},
	} {
		var got []string
		for _, g := range groups(c.registers, c.limit, c.gap) {
			got = append(got, g.String())
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("limit %d, gap %d: %v, want %s", c.limit, c.gap, got, c.want)
		}
	}
}

func TestValidate(t *testing.T) {
	for field, spoil := range map[string]func(*Config){
		"registers[1].name":    func(c *Config) { c.Registers[1].Name = c.Registers[0].Name },
		"registers[0].address": func(c *Config) { c.Registers[0].Type, c.Registers[0].Address = "uint32", 65535 },
		"registers[0].length":  func(c *Config) { c.Registers[0].Length = 2 },
		"registers[0].scale":   func(c *Config) { c.Registers[0].Scale = 0 },
		"registers[0].bit": func(c *Config) {
			bit := 16
			c.Registers[0].Bit, c.Registers[0].Scale, c.Registers[0].Unit = &bit, 1, ""
		},
		"registers[3].write":     func(c *Config) { c.Registers[3].Write = &WriteConfig{} },
		"registers[2].table":     func(c *Config) { c.Registers[2].Unit = "Cel" },
		"registers[1].write.min": func(c *Config) { writable(3, 2)(&c.Registers[1]) },
		"safe.flow":              func(c *Config) { c.Safe = map[string]float64{"flow": 1} },
		"safe.small": func(c *Config) {
			c.Registers = append(c.Registers, RegisterConfig{Name: "small", Table: "holding", Address: 900, Type: "uint16", Scale: 1, Write: &WriteConfig{}})
			c.Safe = map[string]float64{"small": -1}
		},
		"safe.setpoint": func(c *Config) { c.Safe = map[string]float64{"setpoint": 81} },
		"registers":     func(c *Config) { c.Registers = nil },
	} {
		c := Config{Registers: slices.Clone(boiler)}
		spoil(&c)
		var fault *gateway.FieldError
		if err := c.Validate(); !errors.As(err, &fault) || fault.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func FuzzValue(f *testing.F) {
	f.Add(uint8(0), []byte("\x00\x01\x02\x03\x04\x05\x06\x07"), 0.1, 5.0)
	kinds := []string{"uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64", "text"}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte, scale, offset float64) {
		r := RegisterConfig{Type: kinds[int(kind)%len(kinds)], Length: 4, Scale: scale, Offset: offset}
		if len(data) < 2*r.words() {
			return
		}
		v, ok, err := r.value(arrange(data[:2*r.words()], "CDAB"))
		if n, number := v.Number(); ok && err == nil && number && (math.IsNaN(n) || math.IsInf(n, 0)) {
			t.Errorf("% x as %s: %v", data, r.Type, v)
		}
	})
}

func TestEndures(t *testing.T) {
	drivertest.Endure(t, open(t, &unit{}, Config{Registers: boiler[:2], MaxGap: 8}))
}
