package config_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway/config"
)

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "1ms": time.Millisecond, "1.5s": 1500 * time.Millisecond, "2m": 2 * time.Minute, "7d": 168 * time.Hour,
		"1h30m": 90 * time.Minute, "1d12h0.5m1s1ms": 36*time.Hour + 31*time.Second + time.Millisecond,
		"106751d": 106751 * 24 * time.Hour,
	} {
		var c struct {
			A time.Duration `yaml:"a"`
		}
		if err := section(t, "a: "+text+"\n").Decode(&c); err != nil || c.A != want {
			t.Errorf("%s: got %v, %v; want %v", text, c.A, err, want)
		}
	}
	for _, text := range []string{"5", "0", "1e3", "-1s", "+1s", "1 s", "s", "1S", "1us", "1w", "1h 5m", "106752d", "99999999999999999999d", "''", "1.s", ".5s"} {
		var c struct {
			A time.Duration `yaml:"a"`
		}
		if err := section(t, "a: "+text+"\n").Decode(&c); err == nil {
			t.Errorf("%s: got %v, want an error", text, c.A)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]config.Bytes{
		"0": 0, "3800": 3800, "12B": 12, "64kB": 64e3, "512MB": 512e6, "32MiB": 32 << 20, "1.5GB": 15e8, "0.3kB": 300,
		"2TiB": 2 << 40, "9223372036854775807": 1<<63 - 1, "1KiB": 1024, "\"5MB\"": 5e6,
	} {
		var c struct {
			A config.Bytes `yaml:"a"`
		}
		if err := section(t, "a: "+text+"\n").Decode(&c); err != nil || c.A != want {
			t.Errorf("%s: got %d, %v; want %d", text, c.A, err, want)
		}
	}
	for _, text := range []string{"-1", "1.5", "1.5B", "5mb", "5M", "5 MB", "MB", "9223372036854775808", "9000000TiB", "1e3", "0x10", "1kMB", "5KB"} {
		var c struct {
			A config.Bytes `yaml:"a"`
		}
		if err := section(t, "a: "+text+"\n").Decode(&c); err == nil {
			t.Errorf("%s: got %d, want an error", text, c.A)
		}
	}
}

func TestRates(t *testing.T) {
	for text, want := range map[string]config.Rate{"64kB": 64e3, "64kB/s": 64e3, "1.5MB/s": 15e5, "300": 300, "300/s": 300} {
		var c struct {
			A config.Rate `yaml:"a"`
		}
		if err := section(t, "a: "+text+"\n").Decode(&c); err != nil || c.A != want {
			t.Errorf("%s: got %d, %v; want %d", text, c.A, err, want)
		}
	}
	for _, text := range []string{"64kB/m", "64kbit/s", "/s", "64kB/s/s", "64 kB/s", "-1", "64kBs"} {
		var c struct {
			A config.Rate `yaml:"a"`
		}
		if err := section(t, "a: "+text+"\n").Decode(&c); err == nil {
			t.Errorf("%s: got %d, want an error", text, c.A)
		}
	}
}

func TestFrequencies(t *testing.T) {
	for text, want := range map[string]config.Frequency{"50Hz": 50, "400kHz": 4e5, "1.5MHz": 15e5, "0.5Hz": 1, "'1kHz'": 1000, "0Hz": 0} {
		var c struct {
			A config.Frequency `yaml:"a"`
		}
		if err := section(t, "a: "+text+"\n").Decode(&c); err != nil || c.A != want {
			t.Errorf("%s: got %d, %v; want %d", text, c.A, err, want)
		}
	}
	for _, text := range []string{"50", "400k", "400KHz", "1 MHz", "Hz", "kHz", "-1Hz", "1e3Hz", "1GHz", "99999999999999999999MHz", "1.5.5Hz"} {
		var c struct {
			A config.Frequency `yaml:"a"`
		}
		if err := section(t, "a: "+text+"\n").Decode(&c); err == nil {
			t.Errorf("%s: got %d, want an error", text, c.A)
		}
	}
}

func TestPercents(t *testing.T) {
	for text, want := range map[string]config.Percent{"80%": 80, "0%": 0, "100%": 100, "97.5%": 97.5, "'5%'": 5} {
		var c struct {
			A config.Percent `yaml:"a" min:"0%" max:"100%"`
		}
		if err := section(t, "a: "+text+"\n").Decode(&c); err != nil || c.A != want {
			t.Errorf("%s: got %v, %v; want %v", text, c.A, err, want)
		}
	}
	for _, text := range []string{"80", "0.8", "101%", "-1%", "80 %", "'%'", "1e1%", ".5%"} {
		var c struct {
			A config.Percent `yaml:"a"`
		}
		if err := section(t, "a: "+text+"\n").Decode(&c); err == nil {
			t.Errorf("%s: got %v, want an error", text, c.A)
		}
	}
}

// TestWholeNumbers: each type takes its own range and no more.
func TestWholeNumbers(t *testing.T) {
	var c struct {
		I8  int8    `yaml:"i8"`
		U16 uint16  `yaml:"u16"`
		U64 uint64  `yaml:"u64"`
		I64 int64   `yaml:"i64"`
		F32 float32 `yaml:"f32"`
	}
	right := "i8: -128\nu16: +65535\nu64: 18446744073709551615\ni64: -9223372036854775808\nf32: 3.4e38\n"
	if err := section(t, right).Decode(&c); err != nil || fmt.Sprint(c) != "{-128 65535 18446744073709551615 -9223372036854775808 3.4e+38}" {
		t.Errorf("got %+v, %v", c, err)
	}
	for _, wrong := range []string{
		"i8: 128", "i8: -129", "u16: 65536", "u16: -0", "u64: 18446744073709551616", "i64: 9223372036854775808",
		"f32: 1e39", "f32: .inf", "f32: 0x1p3", "i8: 1.0", "i8: 0x", "i8: 0b1", "i8: 1_0", "i8: '1'", "f32: '1'", "i8: 08",
	} {
		if err := section(t, wrong+"\n").Decode(&c); err == nil {
			t.Errorf("%s: no error", wrong)
		}
	}
}
