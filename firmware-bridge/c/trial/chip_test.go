//go:build avr

// Package trial tries the boot loader in a simulated ATmega328P whose power fails.
package trial

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
)

const (
	build     = "../build"
	flashSize = 1 << 15
	markAt    = 0x3FF
	confirmed = 0xA5
	// cutPower is how avrpty ends when power fails.
	cutPower = 99
)

// chip is an ATmega328P under power.
type chip struct {
	t       *testing.T
	process *exec.Cmd
	orders  io.WriteCloser
	tty     *os.File
	frames  []link.Frame
	split   link.Splitter
	heard   []byte
	session uint16
	number  uint16
}

// powerUp starts a chip whose memories are in dir.
func powerUp(t *testing.T, dir string) *chip {
	t.Helper()
	tty := filepath.Join(dir, "tty")
	c := &chip{t: t, process: exec.Command(filepath.Join(build, "avrpty"), "-l", tty, "-b", "7800",
		"-F", filepath.Join(dir, "flash"), "-E", filepath.Join(dir, "eeprom"), filepath.Join(build, "loader.bin")+"@7800")}
	var err error
	if c.orders, err = c.process.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	events, err := c.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.powerDown)
	if _, err := events.Read(make([]byte, 256)); err != nil { // plugged
		t.Fatal(err)
	}
	go io.Copy(io.Discard, events)
	if c.tty, err = os.OpenFile(tty, os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *chip) powerDown() {
	if c.tty != nil {
		c.tty.Close()
	}
	c.process.Process.Kill()
	c.process.Wait()
}

// order gives avrpty a command, and waits until it is carried out.
func (c *chip) order(format string, a ...any) {
	fmt.Fprintf(c.orders, format+"\n", a...)
	time.Sleep(20 * time.Millisecond) // it looks each 3 ms
}

// listen takes in what comes within a while, or until done says so.
func (c *chip) listen(while time.Duration, done func() bool) bool {
	c.tty.SetReadDeadline(time.Now().Add(while))
	buf := make([]byte, 256)
	for !done() {
		n, err := c.tty.Read(buf)
		if err != nil {
			return false
		}
		c.heard = append(c.heard, buf[:n]...)
		c.split.Split(buf[:n], func(f link.Frame) {
			f.Payload = bytes.Clone(f.Payload)
			c.frames = append(c.frames, f)
		})
	}
	return true
}

// answer waits for the answer to a request.
func (c *chip) answer(typ link.Type, while time.Duration) ([]byte, bool) {
	var payload []byte
	found := c.listen(while, func() bool {
		for _, f := range c.frames {
			if f.Type == typ.Answer() && f.Session == c.session && f.Number == c.number {
				payload = f.Payload
				return true
			}
		}
		return false
	})
	return payload, found
}

func (c *chip) send(typ link.Type, payload []byte) {
	c.number++
	f := link.Frame{Version: 1, Type: typ, Session: c.session, Number: c.number, Payload: payload}
	c.tty.Write(f.Append(nil))
}

var errSilent = errors.New("no answer")

// ask sends a request and says how it ended. Power may fail meanwhile.
func (c *chip) ask(typ link.Type, payload []byte) ([]byte, error) {
	c.send(typ, payload)
	got, ok := c.answer(typ, 15*time.Second)
	if !ok || len(got) == 0 {
		return nil, fmt.Errorf("%s: %w", typ, errSilent)
	}
	if status := link.Status(got[0]); status != link.OK {
		return nil, fmt.Errorf("%s: status %d", typ, status)
	}
	return got[1:], nil
}

// reach gets hold of the loader, as a gateway does, and tells what it knows of the image.
func (c *chip) reach() link.ImageState {
	c.t.Helper()
	for c.session = 1; c.session < 100; c.session++ {
		c.send(link.TypeHello, []byte{1, 1, 64, 0})
		if hello, ok := c.answer(link.TypeHello, 100*time.Millisecond); ok && link.Role(hello[1]) == link.Loader {
			return link.ImageState(hello[4])
		}
	}
	c.t.Fatal("the loader cannot be reached")
	return 0
}

// runs waits until the tiny image of a version is heard.
func (c *chip) runs(version byte) {
	c.t.Helper()
	c.heard = nil
	if !c.listen(10*time.Second, func() bool { return bytes.Count(c.heard, []byte{version}) > 20 }) {
		c.t.Fatalf("version %d does not run: % x", version, c.heard)
	}
}

func read(t *testing.T, names ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(names...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// mark is what the EEPROM says of the image.
func mark(t *testing.T, dir string) byte { return read(t, dir, "eeprom")[markAt] }
