package bus

import (
	"maps"
	"slices"
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c"
)

// counted is an I2C bus that tells when it is closed.
type counted struct {
	fakeI2C
	closed *bool
}

func (c *counted) Close() error {
	*c.closed = true
	return nil
}

// TestOnlyOtherBusesAreClosed when the config changes.
func TestOnlyOtherBusesAreClosed(t *testing.T) {
	before := func() map[string]any {
		return map[string]any{
			"field":  &TCPConfig{Address: "127.0.0.1", Timeout: time.Second},
			"meters": &TCPConfig{Address: "127.0.0.2", Timeout: time.Second},
			"main":   &I2CConfig{Device: "/dev/i2c-7", Timeout: time.Second},
			"north":  &MuxConfig{Bus: "i2c-1", Address: 0x70, Channel: 2},
			"spi-0":  &SPIConfig{Controller: 0, Timeout: time.Second},
		}
	}
	everything := []string{"field", "i2c-1", "main", "meters", "north", "spi-0"}
	for name, c := range map[string]struct {
		change func(configs map[string]any)
		others []string
	}{
		"nothing":               {func(map[string]any) {}, nil},
		"one more":              {func(c map[string]any) { c["south"] = &TCPConfig{Address: "127.0.0.9"} }, nil},
		"another address":       {func(c map[string]any) { c["field"] = &TCPConfig{Address: "127.0.0.3", Timeout: time.Second} }, []string{"field"}},
		"one less":              {func(c map[string]any) { delete(c, "meters") }, []string{"meters"}},
		"another kind":          {func(c map[string]any) { c["main"] = &SPIConfig{Controller: 1} }, []string{"main"}},
		"another channel":       {func(c map[string]any) { c["north"] = &MuxConfig{Bus: "i2c-1", Address: 0x70, Channel: 3} }, []string{"i2c-1", "north"}},
		"one more channel":      {func(c map[string]any) { c["south"] = &MuxConfig{Bus: "north", Address: 0x71} }, []string{"i2c-1", "north"}},
		"to another trunk":      {func(c map[string]any) { c["north"] = &MuxConfig{Bus: "main", Address: 0x70, Channel: 2} }, []string{"i2c-1", "main", "north"}},
		"what was said already": {func(c map[string]any) { c["i2c-1"] = &I2CConfig{Device: "/dev/i2c-1", Timeout: defaultTimeout} }, nil},
		"another controller":    {func(c map[string]any) { c["spi-0"] = &SPIConfig{Controller: 0, Timeout: time.Minute} }, []string{"spi-0"}},
		"all gone":              {func(c map[string]any) { clear(c) }, everything},
	} {
		t.Run(name, func(t *testing.T) {
			closed := map[int]*bool{1: new(bool), 7: new(bool)}
			told := make(map[string]bool)
			s := New(Options{
				Configs:  before(),
				Report:   func(bus string, problem error) { told[bus] = problem == nil },
				Hardware: Hardware{Sys: t.TempDir(), I2C: func(n int) (i2c.BusCloser, error) { return &counted{fakeI2C{t: t}, closed[n]}, nil }},
			})
			lines := make(map[string]*Modbus)
			for _, bus := range []string{"field", "meters"} {
				lines[bus], _ = s.Modbus(bus)
			}
			for _, bus := range []string{"i2c-1", "north", "main"} {
				if _, err := s.I2C(bus); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.SPI("spi-0"); err != nil {
				t.Fatal(err)
			}
			configs := before()
			c.change(configs)
			others := slices.DeleteFunc(slices.Clone(everything), func(bus string) bool { return s.Stays(bus, configs) })
			if !slices.Equal(others, c.others) {
				t.Errorf("others %v, want %v", others, c.others)
			}
			if err := s.Change(configs); err != nil {
				t.Fatal(err)
			}
			isOther := func(bus string) bool { return slices.Contains(others, bus) }
			if *closed[1] != isOther("i2c-1") || *closed[7] != isOther("main") {
				t.Errorf("closed i2c-1: %v, main: %v", *closed[1], *closed[7])
			}
			for bus, line := range lines {
				if again, err := s.Modbus(bus); err == nil && (again != line) != isOther(bus) {
					t.Errorf("%s is another one: %v", bus, again != line)
				}
			}
			for bus := range maps.Keys(told) {
				if !isOther(bus) || !told[bus] {
					t.Errorf("told of %s: %v", bus, told[bus])
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
