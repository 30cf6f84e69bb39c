//go:build avr

package trial

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
)

const (
	target = 0x0328
	block  = 128
)

// header is that of an image.
func header(image []byte) []byte {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	return link.Sign(image, target, 1<<24, key)[:56]
}

// padded fills the last block of an image.
func padded(image []byte) []byte {
	return append(bytes.Clone(image), bytes.Repeat([]byte{0xFF}, (block-len(image)%block)%block)...)
}

// update writes what of an image is not there yet, and has the loader verify it.
func (c *chip) update(image []byte) error {
	if _, err := c.ask(link.TypeBegin, header(image)); err != nil {
		return err
	}
	all := padded(image)
	for at := 0; at < len(all); at += block {
		offset := binary.LittleEndian.AppendUint32(nil, uint32(at))
		stored, err := c.ask(link.TypeCheck, binary.LittleEndian.AppendUint32(bytes.Clone(offset), block))
		if err != nil {
			return err
		}
		want := all[at : at+block]
		if binary.LittleEndian.Uint32(stored) == crc32.Checksum(want, crc32.MakeTable(crc32.Castagnoli)) {
			continue
		}
		if _, err := c.ask(link.TypeData, append(offset, want...)); err != nil {
			return err
		}
	}
	_, err := c.ask(link.TypeFinish, nil)
	return err
}

// install updates to an image, runs and confirms it.
func (c *chip) install(t *testing.T, dir string, image []byte, version byte) {
	t.Helper()
	if err := c.update(image); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ask(link.TypeRun, nil); err != nil {
		t.Fatal(err)
	}
	c.runs(version)
	c.tty.Write([]byte("C"))
	c.runs(version)
	if m := mark(t, dir); m != confirmed {
		t.Fatalf("the mark is %02x after the image has confirmed itself", m)
	}
}

// withVersion1 makes a chip, without power, whose image 1 is confirmed.
func withVersion1(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	flash := bytes.Repeat([]byte{0xFF}, flashSize)
	copy(flash, read(t, build, "tiny-1.bin"))
	copy(flash[0x7800:], read(t, build, "loader.bin"))
	eeprom := bytes.Repeat([]byte{0xFF}, 1024)
	eeprom[markAt] = confirmed
	for name, bytes := range map[string][]byte{"flash": flash, "eeprom": eeprom} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// withVersion2OnTrial makes a chip that was updated and runs image 2, which is not confirmed.
func withVersion2OnTrial(t *testing.T) (c *chip, dir string) {
	t.Helper()
	dir = withVersion1(t)
	c = powerUp(t, dir)
	c.reach()
	if err := c.update(read(t, build, "tiny-2.bin")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ask(link.TypeRun, nil); err != nil {
		t.Fatal(err)
	}
	c.runs(2)
	return c, dir
}

// TestPowerFails cuts the power in each write of the loader, to flash and EEPROM, as it
// updates from 1 to 2. What the mark promises must be true, the loader must be there, and
// the update must come to its end.
func TestPowerFails(t *testing.T) {
	for _, memory := range []string{"spm", "eeprom"} {
		t.Run(memory, func(t *testing.T) {
			t.Parallel()
			n := 1
			for !failAt(t, memory, n) {
				n++
			}
			if n == 1 {
				t.Fatal("power never failed")
			}
			t.Logf("power failed in %d writes", n-1)
		})
	}
}

// failAt updates with a cut, and anew. It says whether there was no such write.
func failAt(t *testing.T, memory string, n int) (ended bool) {
	dir, image := withVersion1(t), read(t, build, "tiny-2.bin")
	c := powerUp(t, dir)
	c.order("cut %s %d", memory, n)
	c.reach()
	err := c.update(image)
	if err == nil {
		return true
	}
	c.process.Wait()
	if code := c.process.ProcessState.ExitCode(); !errors.Is(err, errSilent) || code != cutPower {
		t.Fatalf("write %d: the update ended with %v, avrpty with %d", n, err, code)
	}
	if mark(t, dir) == confirmed && !bytes.HasPrefix(read(t, dir, "flash"), read(t, build, "tiny-1.bin")) {
		t.Fatalf("write %d: an image that is not whole is confirmed", n)
	}
	c = powerUp(t, dir)
	c.reach()
	c.install(t, dir, image, 2)
	c.powerDown()
	powerUp(t, dir).runs(2)
	return false
}

// TestHalfErasedMark: power has failed while the mark was being erased. What it reads as may
// differ from one time to the next, so it is erased whole before anything else is.
func TestHalfErasedMark(t *testing.T) {
	t.Parallel()
	dir := withVersion1(t)
	eeprom := read(t, dir, "eeprom")
	eeprom[markAt] = confirmed | 0x50
	if err := os.WriteFile(filepath.Join(dir, "eeprom"), eeprom, 0o600); err != nil {
		t.Fatal(err)
	}
	c := powerUp(t, dir)
	c.order("cut spm 1")
	c.reach()
	if err := c.update(read(t, build, "tiny-2.bin")); !errors.Is(err, errSilent) {
		t.Fatalf("power has not failed: %v", err)
	}
	c.process.Wait()
	if m := mark(t, dir); m != 0xFF {
		t.Errorf("the mark is %02x while pages are erased", m)
	}
}

// TestConfirmationIsNotHalfDone cuts the power as the image confirms itself.
func TestConfirmationIsNotHalfDone(t *testing.T) {
	t.Parallel()
	c, dir := withVersion2OnTrial(t)
	c.order("cut eeprom 1")
	c.tty.Write([]byte("C"))
	c.process.Wait()
	if image := powerUp(t, dir).reach(); image != link.OnTrial && image != link.Confirmed {
		t.Fatalf("the image is %s", image)
	}
}

// TestBrokenImages starts with images that hang or are rubbish: the loader is there.
func TestBrokenImages(t *testing.T) {
	t.Run("on-trial", func(t *testing.T) {
		t.Parallel()
		c, _ := withVersion2OnTrial(t)
		time.Sleep(8500 * time.Millisecond) // the watchdog, which nobody feeds
		if image := c.reach(); image != link.OnTrial {
			t.Fatalf("the image is %s", image)
		}
	})
	t.Run("rubbish", func(t *testing.T) {
		t.Parallel()
		dir := withVersion1(t)
		flash := read(t, dir, "flash")
		copy(flash, bytes.Repeat([]byte{0xFF, 0xCF}, 0x3C00)) // rjmp .-2: hangs at once
		if err := os.WriteFile(filepath.Join(dir, "flash"), flash, 0o600); err != nil {
			t.Fatal(err)
		}
		c := powerUp(t, dir)
		time.Sleep(time.Second)
		c.order("reset")
		c.reach()
		c.install(t, dir, read(t, build, "tiny-2.bin"), 2)
	})
}

// TestHeaders has the loader judge the headers of the vectors.
func TestHeaders(t *testing.T) {
	t.Parallel()
	c := powerUp(t, withVersion1(t))
	c.reach()
	cases := 0
	for line := range strings.Lines(string(read(t, "../../vectors/images.txt"))) {
		fields := strings.Fields(line)
		// What is reserved is the gateway's to judge.
		if len(fields) < 3 || strings.HasPrefix(line, "#") || fields[2] == "reserved" {
			continue
		}
		header, err := hex.DecodeString(fields[1])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.ask(link.TypeBegin, header); (err == nil) != (fields[0] == "ok") || errors.Is(err, errSilent) {
			t.Errorf("%s: %v", fields[2], err)
		}
		cases++
	}
	if cases < 5 {
		t.Fatalf("%d cases", cases)
	}
}

// TestGarbage floods the loader with noise, and with frames of all types that make no
// sense. It must be there afterwards, and nothing may have changed.
func TestGarbage(t *testing.T) {
	t.Parallel()
	dir := withVersion1(t)
	before := read(t, dir, "flash")
	c := powerUp(t, dir)
	c.reach()
	noise := rand.NewChaCha8([32]byte{1})
	for i := range 300 {
		garbage := make([]byte, i%200)
		noise.Read(garbage)
		if i%3 == 0 || link.Type(i) == link.TypeHello { // HELLO is how a gateway lets it go
			c.tty.Write(garbage)
			continue
		}
		c.send(link.Type(i), garbage[:min(len(garbage), 136)])
		c.listen(2*time.Millisecond, func() bool { return false })
	}
	if image := c.reach(); image != link.Confirmed {
		t.Fatalf("the image is %s", image)
	}
	if !bytes.Equal(before, read(t, dir, "flash")) {
		t.Fatal("the flash has changed")
	}
	c.powerDown()
	powerUp(t, dir).runs(1)
}

// TestHashes has the loader verify images of all lengths that matter to SHA-256.
func TestHashes(t *testing.T) {
	t.Parallel()
	c := powerUp(t, withVersion1(t))
	c.reach()
	for _, n := range []int{1, 3, 4, 55, 56, 57, 63, 64, 65, 119, 120, 121, 127, 128, 129, 1000} {
		image := bytes.Repeat([]byte{byte(n), 0x5A, 0xFF}, n/3+1)[:n]
		if err := c.update(image); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		other := header(image)
		other[55] ^= 1
		if _, err := c.ask(link.TypeBegin, other); err != nil {
			t.Fatal(err)
		}
		if _, err := c.ask(link.TypeFinish, nil); err == nil {
			t.Fatalf("%d bytes: another hash is right as well", n)
		}
	}
}
