package attr

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

func put(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNumber(t *testing.T) {
	for text, want := range map[string]float64{"25080\n": 25080, "-12.5": -12.5, " 7 ": 7, "1e3\n": 1000} {
		if n, err := Number(put(t, t.TempDir(), "x", text)); err != nil || n != want {
			t.Errorf("%q: %v, %v; want %v", text, n, err, want)
		}
	}
	for _, text := range []string{"", "\n", "NaN", "inf", "12 34", "0x10g", "\x00\x00", strings.Repeat("9", 5000)} {
		if n, err := Number(put(t, t.TempDir(), "x", text)); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%.20q: %v, %v; want ErrInvalid", text, n, err)
		}
	}
}

func TestMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gone")
	if _, err := Text(path); !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), path) {
		t.Errorf("Text of what is not there: %v", err)
	}
	if err := Set(path, "1"); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("Set of what is not there: %v", err)
	}
	if Exists(path) {
		t.Error("Set has made a file")
	}
}

func TestSet(t *testing.T) {
	path := put(t, t.TempDir(), "x", "0000")
	if err := Set(path, "12"); err != nil {
		t.Fatal(err)
	}
	if text, err := Text(path); err != nil || !strings.HasPrefix(text, "12") {
		t.Errorf("%q, %v", text, err)
	}
}

func TestErrorsOfTheKernel(t *testing.T) {
	for err, unavailable := range map[error]bool{
		syscall.EIO: true, syscall.ENODEV: true, syscall.ENXIO: true, syscall.ETIMEDOUT: true,
		syscall.EREMOTEIO: true, syscall.EACCES: false, syscall.ENOMEM: false,
	} {
		got := explain("/sys/x", &os.PathError{Op: "read", Path: "/sys/x", Err: err})
		if errors.Is(got, gateway.ErrUnavailable) != unavailable {
			t.Errorf("%v: %v", err, got)
		}
	}
}

func TestFind(t *testing.T) {
	root := t.TempDir()
	put(t, root, "hwmon0/name", "cpu_thermal\n")
	put(t, root, "hwmon1/name", "tmp105\n")
	put(t, root, "hwmon2/name", "tmp105\n")
	put(t, root, "hwmon3/other", "")
	for _, c := range []struct{ name, place, want, says string }{
		{"cpu_thermal", "", "hwmon0", ""},
		{"tmp105", "hwmon2", "hwmon2", ""},
		{"tmp105", "", "", "several: hwmon1, hwmon2"},
		{"tmp105", "hwmon9", "", "at hwmon1, hwmon2"},
		{"lm75", "", "", "it has cpu_thermal, tmp105"},
	} {
		dir, err := Find(root, c.name, c.place, filepath.Base)
		if c.want != "" && (err != nil || filepath.Base(dir) != c.want) || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s at %q: %q, %v; want %q %q", c.name, c.place, dir, err, c.want, c.says)
		}
	}
	if _, err := Find(filepath.Join(root, "none"), "x", "", filepath.Base); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("without the class: %v", err)
	}
}
