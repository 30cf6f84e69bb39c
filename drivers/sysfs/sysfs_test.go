package sysfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway"
)

// TestContract reads the machine that runs the test.
func TestContract(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) any {
		d, err := New(Config{Disks: []string{"/"}})
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}

// third is a file system of which a third is used.
func third(string) (space, error) { return space{total: 1e6, free: 7e5, available: 6e5}, nil }

var header = regexp.MustCompile(`(?m)^-- (\S+) --\n`)

// board unpacks a file of testdata: a tree, as "-- path --" and content, and
// what comes of it. The trees hold names that not every file system takes.
func board(t *testing.T, file string) (root string, files map[string]string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	root, files = t.TempDir(), make(map[string]string)
	marks := header.FindAllSubmatchIndex(text, -1)
	for i, m := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		files[string(text[m[2]:m[3]])] = string(text[m[1]:end])
	}
	for name, content := range files {
		if name != "want" && name != "errors" {
			put(t, root, name, content)
		}
	}
	return root, files
}

func put(t *testing.T, root, name, content string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func lines(readings []gateway.Reading) string {
	var b strings.Builder
	for _, r := range readings {
		fmt.Fprintln(&b, strings.TrimSpace(r.Name+" "+r.Value.String()+" "+r.Unit))
	}
	return b.String()
}

func TestBoards(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			root, files := board(t, file)
			d, err := open(Config{Disks: []string{"/", "/data two/"}}, root, third)
			if err != nil {
				t.Fatal(err)
			}
			readings, err := d.Read(t.Context())
			if got := lines(readings); got != files["want"] {
				t.Errorf("got\n%s\nwant\n%s", got, files["want"])
			}
			wantErrors(t, err, files["errors"])
		})
	}
}

// wantErrors: one error for each line, in order, with the text of the line.
func wantErrors(t *testing.T, err error, want string) {
	t.Helper()
	var got []string
	if err != nil {
		got = strings.Split(err.Error(), "\n")
	}
	wants := strings.Split(strings.TrimSuffix(want, "\n"), "\n")
	if want == "" {
		wants = nil
	}
	for i := range max(len(got), len(wants)) {
		switch {
		case i >= len(wants):
			t.Errorf("unexpected error: %s", got[i])
		case i >= len(got) || !strings.Contains(got[i], wants[i]):
			t.Errorf("want an error with %q among\n%v", wants[i], err)
		}
	}
}

func read(t *testing.T, d *Dev) map[string]gateway.Reading {
	t.Helper()
	readings, err := d.Read(t.Context())
	if err != nil {
		t.Error(err)
	}
	byName := make(map[string]gateway.Reading)
	for _, r := range readings {
		byName[r.Name] = r
	}
	return byName
}

func TestBusyIsBetweenTwoReads(t *testing.T) {
	root := t.TempDir()
	d, err := open(Config{}, root, third)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ stat, want string }{
		{"cpu 100 0 0 900 0", ""},                   // nothing to compare with
		{"cpu 125 0 0 975 0", "25"},                 // 25 of 100 ticks
		{"cpu 125 0 0 975 0", ""},                   // no time has passed
		{"cpu 125 0 0 965 110 0 0 0 50 50", "0"},    // iowait is idle; guest is not counted twice
		{"cpu 225 0 0 965 110", "100"},              // all busy
		{"cpu 325 0 0 900 110", "100"},              // idle has gone backwards
		{"cpu 1 0 0 1 0", ""},                       // the counters began anew
		{"cpu 2 0 0 4 0 0 0 0\ncpu0 1 1 1 1", "25"}, // and go on
		{"cpu 18446744073709551615 0 0 0 0", "100"}, // whatever that is, it is in range
	} {
		put(t, root, "proc/stat", step.stat+"\n")
		got := ""
		if r, ok := read(t, d)["cpu_busy"]; ok {
			got = r.Value.String()
		}
		if got != step.want {
			t.Errorf("%s: busy %q, want %q", step.stat, got, step.want)
		}
	}
}

// TestTemperaturesThatCannotBe are errors, never values.
func TestTemperaturesThatCannotBe(t *testing.T) {
	root := t.TempDir()
	put(t, root, "sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
	d, err := open(Config{}, root, third)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ text, fault string }{
		{"0", "sensor without power"},
		{"0", "sensor without power"},
		{"500", ""},
		{"0", ""},
		{"0", "sensor without power"},
		{"-500", ""},
		{"-40000", ""},
		{"-40001", "cannot be"},
		{"150000", ""},
		{"150001", "cannot be"},
		{"-273150", "cannot be"},
		{"", "thousandths of a degree"},
		{"48.3", "thousandths of a degree"},
	} {
		put(t, root, "sys/class/thermal/thermal_zone0/temp", step.text+"\n")
		readings, err := d.Read(t.Context())
		if step.fault == "" {
			if err != nil || len(readings) != 1 {
				t.Errorf("%s: %v %v", step.text, readings, err)
			}
			continue
		}
		if len(readings) > 0 || !errors.Is(err, gateway.ErrInvalid) || !strings.Contains(err.Error(), step.fault) || !strings.Contains(err.Error(), "thermal_zone0/temp") {
			t.Errorf("%s: %v %v, want an error with %q", step.text, readings, err, step.fault)
		}
	}
}

func TestNamedInterfaces(t *testing.T) {
	root, _ := board(t, "testdata/raspberrypi4.txt")
	d, err := open(Config{Interfaces: []string{"wlan0", "lo", "usb7"}}, root, third)
	if err != nil {
		t.Fatal(err)
	}
	readings, err := d.Read(t.Context())
	got := lines(readings)
	for _, want := range []string{"network_up.wlan0 false\n", "network_received.wlan0 7 By\n", "network_up.lo true\n", "network_up.usb7 false\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("want %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "eth0") {
		t.Errorf("eth0 is not named:\n%s", got)
	}
	if !errors.Is(err, gateway.ErrUnavailable) || !strings.Contains(err.Error(), "no network interface usb7; there are eth0, lo") {
		t.Errorf("%v", err)
	}
}

func TestInterfacesOfOneName(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"br-lan", "br_lan"} {
		put(t, root, "sys/class/net/"+name+"/operstate", "up\n")
	}
	d, err := open(Config{}, root, third)
	if err != nil {
		t.Fatal(err)
	}
	readings, err := d.Read(t.Context())
	if len(readings) != 1 || err == nil || !strings.Contains(err.Error(), "name one of them") {
		t.Errorf("%v %v", readings, err)
	}
}

func TestDiskThatFails(t *testing.T) {
	root, _ := board(t, "testdata/raspberrypi4.txt")
	d, err := open(Config{Disks: []string{"/", "/boot/firmware", "/dev"}}, root, func(path string) (space, error) {
		switch {
		case strings.HasSuffix(path, "firmware"):
			return space{}, fs.ErrPermission
		case strings.HasSuffix(path, "dev"):
			return space{}, nil // it has no blocks
		}
		return third(path)
	})
	if err != nil {
		t.Fatal(err)
	}
	readings, err := d.Read(t.Context())
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "disk /boot/firmware") {
		t.Errorf("%v", err)
	}
	got := lines(readings)
	if !strings.Contains(got, "disk_free.root") || !strings.Contains(got, "disk_written.boot_firmware 1024 By") || strings.Contains(got, ".dev") {
		t.Errorf("got\n%s", got)
	}
}

func TestValidate(t *testing.T) {
	for _, good := range []Config{{}, {Disks: []string{"/", "/data", "/data/two"}, Interfaces: []string{"eth0", "wlan0"}}} {
		if err := good.Validate(); err != nil {
			t.Error(err)
		}
	}
	bad := Config{Disks: []string{"/a/b", "/a_b"}, Interfaces: []string{"eth0", "eth0"}}
	err := bad.Validate()
	if err == nil || !strings.Contains(err.Error(), "disks: /a/b and /a_b") || !strings.Contains(err.Error(), "interfaces: eth0 and eth0") {
		t.Errorf("%v", err)
	}
	if _, err := New(bad); err == nil {
		t.Error("New takes it")
	}
}
