//go:build bridge

package systemtest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bridgeBuild is where `make bridge` puts the microcontroller's side.
const bridgeBuild = "../../firmware-bridge/c/build"

const (
	// target is the number of an ATmega328P in images; its loader keeps its mark in the
	// last byte of the EEPROM.
	target        = 0x0328
	markAt        = 0x3FF
	markConfirmed = 0xA5
	flashSize     = 32 << 10
	eepromSize    = 1 << 10
	// cutPower is how a simulated chip ends whose power was cut in a write.
	cutPower = 99
)

// chip is a microcontroller: machine code in a simulated ATmega328P with its loader, or
// the same firmware as a program. Its UART is a pty, which tty leads to. Its memories are
// files, so that kill -9 is a power cut.
type chip struct {
	dir, tty, log string
	program       []string
	process       *process
	orders        io.WriteCloser
}

// nodeImage is a version of the example with so much behind it that nearly each page
// differs from that of the other version.
func nodeImage(t testing.TB, version int) []byte {
	t.Helper()
	const more = 6 << 10
	image := readBuilt(t, fmt.Sprintf("node-%d.bin", version))
	random := rand.New(rand.NewPCG(uint64(version), 0))
	for range more {
		image = append(image, byte(random.Uint32()))
	}
	return image
}

// newChip is an ATmega328P with an image in it that is confirmed; powerUp starts it.
func newChip(t testing.TB, dir string, image []byte) *chip {
	t.Helper()
	c := plainChip(t, dir)
	flash := bytes.Repeat([]byte{0xFF}, flashSize)
	copy(flash, image)
	copy(flash[0x7800:], readBuilt(t, "loader.bin"))
	eeprom := bytes.Repeat([]byte{0xFF}, eepromSize)
	eeprom[markAt] = markConfirmed
	for name, content := range map[string][]byte{"flash": flash, "eeprom": eeprom} {
		if err := os.WriteFile(filepath.Join(c.dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.program = []string{
		filepath.Join(bridgeBuild, "avrpty"), "-l", c.tty, "-F", filepath.Join(c.dir, "flash"), "-E", filepath.Join(c.dir, "eeprom"),
		"-b", "7800", filepath.Join(bridgeBuild, "loader.bin") + "@7800",
	}
	return c
}

// hostChip is the firmware as a program, whose line is as quick as the machine.
func hostChip(t testing.TB, dir string) *chip {
	t.Helper()
	c := plainChip(t, dir)
	c.program = []string{filepath.Join(bridgeBuild, "mcu-host"), "-l", c.tty}
	return c
}

// plainChip has a place below /dev for its tty, where the config wants ports.
func plainChip(t testing.TB, dir string) *chip {
	t.Helper()
	place, err := os.MkdirTemp("/dev/shm", "fieldpost-chip-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(place) })
	return &chip{dir: dir, tty: filepath.Join(place, "tty"), log: filepath.Join(dir, "chip.log")}
}

func readBuilt(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(bridgeBuild, name))
	if err != nil {
		t.Fatalf("%v; make bridge makes it", err)
	}
	return content
}

// powerUp starts it, and waits until its line is there.
func (c *chip) powerUp(t testing.TB) {
	t.Helper()
	out, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	plugged := c.said("plugged")
	cmd := exec.Command(c.program[0], c.program[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	if c.orders, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{name: filepath.Base(c.program[0]), cmd: cmd, log: c.log, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.ended)
	}()
	c.process = p
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("--- end of %s:\n%s", c.log, tail(c.log, 20))
		}
	})
	eventually(t, 10*time.Second, func() error {
		if c.said("plugged") == plugged {
			return fmt.Errorf("%s has not plugged its line in", p.name)
		}
		return nil
	})
}

// order tells the simulator to do something to the chip.
func (c *chip) order(t testing.TB, format string, args ...any) {
	t.Helper()
	if _, err := fmt.Fprintf(c.orders, format+"\n", args...); err != nil {
		t.Error(err)
	}
}

// said counts the lines that begin so.
func (c *chip) said(begin string) (n int) {
	text, _ := os.ReadFile(c.log) // none: nothing was said
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, begin) {
			n++
		}
	}
	return n
}

// await waits until it has said something, as often as that.
func (c *chip) await(t testing.TB, what string, times int) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		if n := c.said(what); n < times {
			return fmt.Errorf("%s: %d times, want %d", what, n, times)
		}
		return nil
	})
}

// holds says which of two images, whole and confirmed, is in the flash; 0: none.
func (c *chip) holds(t testing.TB) int {
	t.Helper()
	flash, err := os.ReadFile(filepath.Join(c.dir, "flash"))
	if err != nil {
		t.Fatal(err)
	}
	eeprom, err := os.ReadFile(filepath.Join(c.dir, "eeprom"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(flash[0x7800:0x7800+len(readBuilt(t, "loader.bin"))], readBuilt(t, "loader.bin")) {
		t.Error("the loader is damaged")
	}
	for version := 1; version <= 2; version++ {
		if eeprom[markAt] == markConfirmed && bytes.HasPrefix(flash, nodeImage(t, version)) {
			return version
		}
	}
	if eeprom[markAt] == markConfirmed {
		t.Error("what is confirmed is none of the images")
	}
	return 0
}

// mcuDevice is the entry of devices for it.
func (c *chip) mcuDevice(more string) string {
	return fmt.Sprintf("devices:\n  - {id: node, driver: mcu, port: %s, baud: 115200%s}\n", c.tty, more)
}
