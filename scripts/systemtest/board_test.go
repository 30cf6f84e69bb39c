//go:build board

package systemtest

import (
	"errors"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/scripts/board"
)

// guest is the emulated board, as the test sees it.
type guest struct {
	console string
	process *process
	calls   *rpc.Client
}

// bootBoard starts the board and waits until it is up. The end of the test
// switches it off.
func bootBoard(t *testing.T, dir string, m machine) *guest {
	t.Helper()
	image := filepath.Join(dir, "initrd")
	if err := os.WriteFile(image, boardImage(t, dir, m.modules), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	g := &guest{console: filepath.Join(dir, "console.log")}
	started := time.Now()
	g.process = spawn(t, g.console, m.emulator, append(m.args,
		"-display", "none", "-monitor", "none", "-no-reboot",
		"-kernel", filepath.Join(boardParts, "vmlinuz"), "-initrd", image,
		"-append", "console="+m.console+" quiet panic=-1 rdinit=/init "+board.HostVariable+"=10.0.2.2:"+port)...)
	conn := awaitDial(t, l, g.process)
	g.calls = rpc.NewClient(conn)
	t.Cleanup(func() { g.powerOff(t) })
	t.Logf("the board is up after %v", time.Since(started).Round(100*time.Millisecond))
	return g
}

// awaitDial waits for the board's call, or for the end of its emulator.
func awaitDial(t *testing.T, l net.Listener, p *process) net.Conn {
	t.Helper()
	dialled := make(chan net.Conn, 1)
	go func() {
		if conn, err := l.Accept(); err == nil {
			dialled <- conn
		}
	}()
	select {
	case conn := <-dialled:
		return conn
	case <-p.ended:
		t.Fatal("the emulator has ended before the board was up")
	case <-time.After(2 * time.Minute):
		t.Fatal("the board is not up after two minutes")
	}
	return nil
}

// boardImage is the root file system: init, fieldpost as it is released, and
// the modules.
func boardImage(t *testing.T, dir string, modules []string) []byte {
	t.Helper()
	init := filepath.Join(dir, "init")
	build := exec.Command("go", "build", "-o", init, module+"scripts/board/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	image := &initrd{}
	for _, name := range []string{"dev", "proc", "sys", "run", "tmp", "var", "etc", "bin", "lib", "lib/modules"} {
		image.dir(name)
	}
	for name, source := range map[string]string{"init": init, "bin/fieldpost": "../../dist/fieldpost-linux-arm64"} {
		if err := image.copyFile(name, source); err != nil {
			t.Fatalf("%v; `make board` makes it", err)
		}
	}
	if err := image.addModules(filepath.Join(boardParts, "modules"), modules...); err != nil {
		t.Fatalf("%v; `make board` makes it", err)
	}
	image.end()
	return image.Bytes()
}

func (g *guest) powerOff(t *testing.T) {
	t.Helper()
	_ = g.calls.Close() // init switches off when nobody is there
	select {
	case <-g.process.ended:
	case <-time.After(30 * time.Second):
		t.Error("the board does not switch off")
		g.process.kill()
	}
}

// call does one of the board's calls.
func (g *guest) call(t testing.TB, method string, args, answer any) {
	t.Helper()
	if err := g.try(method, args, answer); err != nil {
		t.Fatalf("%s %+v: %v", method, args, err)
	}
}

func (g *guest) try(method string, args, answer any) error {
	if answer == nil {
		answer = &struct{}{}
	}
	select {
	case call := <-g.calls.Go("Board."+method, args, answer, make(chan *rpc.Call, 1)).Done:
		return call.Error
	case <-time.After(2 * time.Minute): // more than any program may take
		return errors.New("the board does not answer")
	}
}

// read reads a file of the board, without the space around it.
func (g *guest) read(t testing.TB, path string) string {
	t.Helper()
	var data []byte
	g.call(t, "Read", path, &data)
	return strings.TrimSpace(string(data))
}

func (g *guest) write(t testing.TB, path, data string) {
	t.Helper()
	g.call(t, "Write", board.File{Path: path, Data: []byte(data)}, nil)
}

// find is the one file that matches.
func (g *guest) find(t testing.TB, pattern string) string {
	t.Helper()
	var matches []string
	g.call(t, "Glob", pattern, &matches)
	if len(matches) != 1 {
		t.Fatalf("%s matches %v", pattern, matches)
	}
	return matches[0]
}

// run runs a program of the board to its end.
func (g *guest) run(t testing.TB, path string, args ...string) board.Ended {
	t.Helper()
	var ended board.Ended
	g.call(t, "Run", board.Program{Path: path, Args: args}, &ended)
	return ended
}

// TestBoard boots once and looks at all that is on the board.
func TestBoard(t *testing.T) {
	dir := t.TempDir()
	m := virtual(t, dir).withoutBattery()
	g := bootBoard(t, dir, m)
	t.Run("kernel", func(t *testing.T) { boardKernel(t, g) })
	b := boardHub(t, g)
	t.Run("receivers", func(t *testing.T) { boardReceivers(t, b, m) })
	g.call(t, "SetClock", time.Now(), nil) // as NTP does
	t.Run("hwmon", func(t *testing.T) { boardHwmon(t, b) })
	t.Run("i2c", func(t *testing.T) { boardI2C(t, b) })
	t.Run("expander", func(t *testing.T) { boardExpander(t, b) })
	t.Run("iio", func(t *testing.T) { boardIIO(t, b) })
	t.Run("probe", func(t *testing.T) { boardProbe(t, b) })
	t.Run("inputs", func(t *testing.T) { boardInputs(t, b) })
	t.Run("relay", func(t *testing.T) { boardRelay(t, b) })
	t.Run("kill", func(t *testing.T) { boardKill(t, b) })
	t.Run("serial", func(t *testing.T) { boardSerial(t, b, m) })
	judgeAudit(t, b.hub)
}

// boardKernel makes sure of the board itself: Debian's kernel reaches a chip
// over an adapter, tells what is missing, and its lines can be driven.
func boardKernel(t *testing.T, g *guest) {
	t.Log(g.read(t, "/proc/version"))
	t.Logf("%s", g.run(t, "/bin/fieldpost", "version").Output)

	g.place(t, 1, 0x48, "lm75")
	g.bind(t, "1", "lm75", "0x48")
	input := g.find(t, "/sys/bus/i2c/devices/1-0048/hwmon/hwmon*/temp1_input")
	for _, c := range []struct{ fault, value, failure string }{
		{"", "25500", ""},
		{board.NoAnswer, "", "remote I/O error"},
		{board.Stuck, "", "connection timed out"},
		{"", "25500", ""},
	} {
		g.fault(t, 1, 0x48, c.fault)
		var data []byte
		switch err := g.try("Read", input, &data); {
		case c.failure == "" && (err != nil || strings.TrimSpace(string(data)) != c.value):
			t.Errorf("lm75: %s m°C, %v; want %s", data, err, c.value)
		case c.failure != "" && (err == nil || !strings.HasSuffix(err.Error(), c.failure)):
			t.Errorf("lm75 with %s: %v; want %s", c.fault, err, c.failure)
		}
	}

	g.addLines(t)
	for _, high := range []bool{true, false} {
		g.drive(t, "DOOR", high)
		if got, want := g.level(t, "DOOR"), map[bool]string{true: "1", false: "0"}[high]; got != want {
			t.Errorf("line DOOR, driven, has level %s, want %s", got, want)
		}
	}
}
