package sysfs

import (
	"errors"
	"math"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestUnescape(t *testing.T) {
	for text, want := range map[string]string{
		`/`: "/", `/a\040b`: "/a b", `/a\134b`: `/a\b`, `/a\04`: `/a\04`, `/a\999`: `/a\999`, `\040`: " ", `/a\`: `/a\`,
	} {
		if got := unescape(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestSuffix(t *testing.T) {
	for name, want := range map[string]string{
		"/": "root", "/var/lib": "var_lib", "/data two/": "data_two", "eth0": "eth0", "eth0.100": "eth0.100", "br-LAN": "br_lan", "/mnt/ü": "mnt__",
	} {
		if got := suffix(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// FuzzParse: whatever a kernel or a driver writes, each parser gives finite
// numbers or says that it is invalid.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"48312", "0.42 0.36 0.30 2/178 4711", "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1", "MemTotal: 1 kB\nMemFree: 2 kB\n",
		"25 1 179:2 / /a\\040b rw - ext4 /dev/root rw", "179 2 mmcblk0p2 1 2 3 4 5 6 7 8", "0x50005", "50005", "NaN", "1e999", "-1", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		check := func(what string, err error, values ...float64) {
			if err != nil && !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("%s of %q: %v", what, text, err)
			}
			for _, v := range values {
				if err == nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
					t.Errorf("%s of %q: %v", what, text, v)
				}
			}
		}
		count, err := parseCount(text)
		check("count", err, count)
		decimal, err := parseDecimal(text)
		check("decimal", err, decimal)
		celsius, err := parseMillidegrees(text)
		check("temperature", err, celsius)
		load, err := parseLoad(text)
		check("load", err, load[:]...)
		cpu, err := parseCPU(text)
		check("cpu", err, cpu.total, cpu.idle)
		memory, err := parseMemory(text)
		for _, v := range memory {
			check("memory", err, v)
		}
		check("memory", err)
		mounts, err := parseMounts(text)
		check("mounts", err)
		for _, device := range mounts {
			_, _, _, err := parseDisk(text, device)
			check("disk", err)
		}
		read, written, _, err := parseDisk(text, "179:2")
		check("disk", err, read, written)
		_, err = parseThrottled(text)
		check("throttled", err)
	})
}
