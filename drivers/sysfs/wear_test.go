package sysfs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway"
)

// withEMMC is a board whose root is the second partition of an eMMC.
func withEMMC(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	put(t, root, "proc/self/mountinfo", "24 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw\n")
	disk := "sys/devices/platform/mmc0/block/mmcblk0"
	put(t, root, disk+"/mmcblk0p2/partition", "2\n")
	put(t, root, disk+"/device/life_time", "0x01 0x03\n")
	put(t, root, "sys/fs/ext4/mmcblk0p2/lifetime_write_kbytes", "2048\n")
	put(t, root, "sys/fs/ext4/mmcblk0p2/errors_count", "0\n")
	links := filepath.Join(root, "sys/dev/block")
	if err := os.MkdirAll(links, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, disk, "mmcblk0p2"), filepath.Join(links, "179:2")); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestWear(t *testing.T) {
	root := withEMMC(t)
	d, err := open(Config{Disks: []string{"/"}}, root, third)
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, d)
	for name, want := range map[string]string{
		"disk_life_used.root": "30", "disk_written_in_life.root": "2097152", "disk_errors.root": "0",
	} {
		if got[name].Value.String() != want {
			t.Errorf("%s: %v, want %s", name, got[name].Value, want)
		}
	}
	life := filepath.Join(root, "sys/devices/platform/mmc0/block/mmcblk0/device/life_time")
	if err := os.WriteFile(life, []byte("0xff 0x01\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	readings, err := d.Read(t.Context())
	if !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), "device/life_time") || !strings.Contains(lines(readings), "disk_errors.root") {
		t.Errorf("%v\n%s", err, lines(readings))
	}
}

func TestParseLife(t *testing.T) {
	for text, want := range map[string]float64{"0x00 0x00": 0, "0x02 0x01": 20, "0x01 0x0b": 110, "0x0a": 100} {
		if got, err := parseLife(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0x0c", "-1", "one", "0x0a 0xzz"} {
		if got, err := parseLife(text); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

const wirelessText = `Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE
 face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22
 wlan0: 0000   54.  -56.  -256        0      0      0      0      0        0
wlan1: 0000   70   42    0        0      0      0      0      0        0
wlan2: 0000
`

func TestWireless(t *testing.T) {
	for _, c := range []struct {
		name  string
		level float64
		found bool
		wrong bool
	}{
		{"wlan0", -56, true, false},
		{"wlan1", 42, false, false}, // not in dBm
		{"wlan2", 0, false, true},
		{"eth0", 0, false, false},
	} {
		level, found, err := parseWireless(wirelessText, c.name)
		if (err != nil) != c.wrong || found != c.found || found && level != c.level {
			t.Errorf("%s: %v, %v, %v", c.name, level, found, err)
		}
	}
}

func TestSignalOfAnInterface(t *testing.T) {
	root := t.TempDir()
	put(t, root, "sys/class/net/wlan0/operstate", "up\n")
	put(t, root, "proc/net/wireless", wirelessText)
	d, err := open(Config{}, root, third)
	if err != nil {
		t.Fatal(err)
	}
	if r := read(t, d)["network_signal.wlan0"]; r.Value != gateway.Number(-56) || r.Unit != "dBm" {
		t.Errorf("%v %s", r.Value, r.Unit)
	}
}

// TestUndervoltageByTheKernel is on a board where only the kernel's driver
// tells, not the file of the firmware.
func TestUndervoltageByTheKernel(t *testing.T) {
	root := t.TempDir()
	put(t, root, "sys/class/hwmon/hwmon2/name", "rpi_volt\n")
	put(t, root, "sys/class/hwmon/hwmon2/in0_lcrit_alarm", "1\n")
	d, err := open(Config{}, root, third)
	if err != nil {
		t.Fatal(err)
	}
	if r := read(t, d)["undervoltage"]; r.Value != gateway.Bool(true) {
		t.Errorf("%v", r.Value)
	}
}

func FuzzWireless(f *testing.F) {
	f.Add(wirelessText, "wlan0")
	f.Add("wlan0:", "wlan0")
	f.Fuzz(func(t *testing.T, text, name string) {
		level, found, err := parseWireless(text, name)
		if found && (err != nil || level >= 0 || level < -256) {
			t.Errorf("%q %q: %v, %v", text, name, level, err)
		}
	})
}

func TestEndures(t *testing.T) {
	d, err := open(Config{Disks: []string{"/"}}, withEMMC(t), third)
	if err != nil {
		t.Fatal(err)
	}
	drivertest.Endure(t, d)
}
