package link_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/firmware-bridge/link/linktest"
	"github.com/fieldpost/fieldpost/gateway"
)

const target = 0x328

// firmware is an image whose application is of the given version.
func firmware(version string) []byte {
	lines := strings.Repeat("channel-of-later id=1\n", 200)
	return fmt.Appendf(nil, "device name=mixer\nfirmware name=mixer-fw version=%s\n%s", version, lines)
}

// image makes an image for the target.
func image(t testing.TB, data []byte, version string) *link.Image {
	t.Helper()
	v, err := link.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	im, err := link.ParseImage(link.Sign(data, target, v, key))
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// flash gives the bench a microcontroller with a loader, and version 1.0.0 in it.
func (b *bench) flash() *linktest.Flash {
	b.mcu.Loader = linktest.NewFlash(target, 8192, string(firmware("1.0.0")))
	return b.mcu.Loader
}

// runs is the version that runs.
func (b *bench) runs(c *link.Conn) string {
	b.Helper()
	d, err := c.Descriptor(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return d.Version.String()
}

func TestUpdate(t *testing.T) {
	try(t, func(b *bench) {
		f := b.flash()
		c, _ := b.open(link.Options{})
		defer c.Close()
		if v := b.runs(c); v != "1.0.0" {
			b.Fatalf("%s runs", v)
		}
		im := image(t, firmware("2.0.0"), "2.0.0")
		var last, calls int
		err := c.Update(b.Context(), im, func(done, total int) {
			if done <= last || total != len(im.Data) {
				b.Errorf("%d of %d are done after %d", done, total, last)
			}
			last, calls = done, calls+1
		})
		if err != nil || last != len(im.Data) {
			b.Fatalf("after %d bytes: %v", last, err)
		}
		if blocks := (len(im.Data) + 127) / 128; calls != blocks || f.Writes != 1 {
			b.Errorf("%d calls for %d blocks, of which %d differ", calls, blocks, f.Writes)
		}
		h, err := c.Start(b.Context())
		if err != nil || h.Image != link.OnTrial {
			b.Fatalf("the image is %v: %v", h.Image, err)
		}
		if err := c.Confirm(b.Context(), 1); !errors.Is(err, gateway.ErrInvalid) {
			b.Errorf("another version was confirmed: %v", err)
		}
		if err := c.Confirm(b.Context(), im.Version); err != nil {
			b.Fatal(err)
		}
		b.mcu.Reset(1)
		time.Sleep(3 * time.Second)
		if h, err := c.Hello(b.Context()); err != nil || h.Image != link.Confirmed || b.runs(c) != "2.0.0" {
			b.Errorf("after a reset it is %v, %v", h, err)
		}
	})
}

// TestUpdateCut: the power of the microcontroller is cut within each block, and each
// time the update goes on and ends.
func TestUpdateCut(t *testing.T) {
	data := bytes.ReplaceAll(firmware("2.0.0"), []byte("later"), []byte("never")) // each block differs
	blocks := (len(data) + 127) / 128
	for cut := 1; cut <= blocks; cut++ {
		try(t, func(b *bench) {
			f := b.flash()
			f.CutAfter = cut
			c, _ := b.open(link.Options{})
			defer c.Close()
			if err := c.Update(b.Context(), image(t, data, "2.0.0"), nil); err != nil {
				b.Fatalf("cut in block %d: %v", cut, err)
			}
			if _, err := c.Start(b.Context()); err != nil || b.runs(c) != "2.0.0" {
				b.Fatalf("cut in block %d: %v", cut, err)
			}
			if f.Writes != blocks {
				b.Errorf("cut in block %d: %d blocks were written, want %d", cut, f.Writes, blocks)
			}
		})
	}
}

// TestUpdateUnplugged: the line is unplugged in the middle, and the update goes on
// where it was over another one, by a gateway that has forgotten everything.
func TestUpdateUnplugged(t *testing.T) {
	data := bytes.ReplaceAll(firmware("2.0.0"), []byte("later"), []byte("never"))
	try(t, func(b *bench) {
		f := b.flash()
		c, line := b.open(link.Options{})
		err := c.Update(b.Context(), image(t, data, "2.0.0"), func(done, _ int) {
			if done >= len(data)/2 {
				line.Close()
			}
		})
		if !errors.Is(err, gateway.ErrUnavailable) {
			b.Fatalf("unplugged: %v", err)
		}
		c.Close()
		half := f.Writes
		time.Sleep(time.Hour)
		c, _ = b.open(link.Options{})
		defer c.Close()
		if h, err := c.Hello(b.Context()); err != nil || h.Role != link.Loader || h.Image != link.NoImage {
			b.Fatalf("half an image: %+v, %v", h, err)
		}
		if err := c.Update(b.Context(), image(t, data, "2.0.0"), nil); err != nil {
			b.Fatal(err)
		}
		if blocks := (len(data) + 127) / 128; half == 0 || half >= blocks || f.Writes != blocks {
			b.Errorf("%d blocks were written before, %d in all, want %d", half, f.Writes, blocks)
		}
	})
}

// TestUpdateNoise: an update over a bad line ends.
func TestUpdateNoise(t *testing.T) {
	try(t, func(b *bench) {
		b.flash()
		c, line := b.open(link.Options{})
		defer c.Close()
		line.Become(linktest.Faults{Drop: 0.0005, Flip: 0.0005, Repeat: 0.0005})
		data := bytes.ReplaceAll(firmware("2.0.0"), []byte("later"), []byte("never"))
		if err := c.Update(b.Context(), image(t, data, "2.0.0"), nil); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Start(b.Context()); err != nil || b.runs(c) != "2.0.0" {
			b.Error(err)
		}
		if line.Faulted().Dropped == 0 || c.Stats().Retries == 0 {
			b.Errorf("the line was too good: %+v", c.Stats())
		}
	})
}

// TestUpdateBad: an image that does not come up leaves the loader, and the old image
// can be put back; so can one that nobody confirms.
func TestUpdateBad(t *testing.T) {
	for name, data := range map[string]string{"crashes": "crash", "hangs": linktest.Hanging, "is not confirmed": string(firmware("2.0.0"))} {
		try(t, func(b *bench) {
			b.flash()
			c, _ := b.open(link.Options{Patience: 2 * time.Minute})
			defer c.Close()
			if err := c.Update(b.Context(), image(t, []byte(data), "2.0.0"), nil); err != nil {
				b.Fatalf("%s: %v", name, err)
			}
			h, err := c.Start(b.Context())
			if confirmable := strings.HasPrefix(data, "device"); confirmable == (err != nil) {
				b.Errorf("%s: %v", name, err)
			}
			time.Sleep(2 * time.Minute)
			if h, err = c.Hello(b.Context()); err != nil || h.Role != link.Loader || h.Image != link.OnTrial || h.Cause != 4 {
				b.Fatalf("%s: %+v, %v", name, h, err)
			}
			if err := c.Update(b.Context(), image(t, firmware("1.0.0"), "1.0.0"), nil); err != nil {
				b.Fatalf("%s: back: %v", name, err)
			}
			if _, err := c.Start(b.Context()); err != nil || b.runs(c) != "1.0.0" {
				b.Errorf("%s: back: %v", name, err)
			}
		})
	}
}

// TestUpdateRefused: an image that the part cannot take changes nothing, and the old
// one is started again.
func TestUpdateRefused(t *testing.T) {
	try(t, func(b *bench) {
		f := b.flash()
		c, _ := b.open(link.Options{})
		defer c.Close()
		other := image(t, firmware("2.0.0"), "2.0.0")
		other.Target++
		for _, im := range []*link.Image{image(t, bytes.Repeat([]byte("x"), 8193), "2.0.0"), other} {
			if err := c.Update(b.Context(), im, nil); !errors.Is(err, gateway.ErrInvalid) {
				b.Errorf("an image that does not fit: %v", err)
			}
			if _, err := c.Start(b.Context()); err != nil || b.runs(c) != "1.0.0" || f.Writes != 0 {
				b.Errorf("%d blocks were written: %v", f.Writes, err)
			}
		}
	})
}

// TestUpdateLies: a block that only seems to be there is found by the hash, and all
// are written again.
func TestUpdateLies(t *testing.T) {
	try(t, func(b *bench) {
		f := b.flash()
		im := image(t, firmware("2.0.0"), "2.0.0")
		forge(f.Bytes[1024:1152], link.Checksum(im.Data[1024:1152]))
		c, _ := b.open(link.Options{})
		defer c.Close()
		if err := c.Update(b.Context(), im, nil); err != nil {
			b.Fatal(err)
		}
		if !bytes.Equal(f.Bytes[:len(im.Data)], im.Data) || f.Writes != 2 {
			b.Errorf("%d blocks were written", f.Writes)
		}
	})
}

// forge changes a block so that it has a given CRC: of the 32 last bits, each
// changes the CRC in its own way, whatever the others are.
func forge(b []byte, crc uint32) {
	b[0] ^= 0xFF
	tail := b[len(b)-4:]
	clear(tail)
	type row struct{ bits, effect uint32 }
	base := link.Checksum(b)
	var rows []row
	for i := range 32 {
		tail[i/8] ^= 1 << (i % 8)
		r := row{1 << i, link.Checksum(b) ^ base}
		tail[i/8] ^= 1 << (i % 8)
		for _, q := range rows {
			if r.effect^q.effect < r.effect {
				r.bits, r.effect = r.bits^q.bits, r.effect^q.effect
			}
		}
		rows = append(rows, r)
	}
	bits, left := uint32(0), base^crc
	for range 2 {
		for _, q := range rows {
			if left^q.effect < left {
				bits, left = bits^q.bits, left^q.effect
			}
		}
	}
	for i := range 4 {
		tail[i] = byte(bits >> (8 * i))
	}
}

// TestLoaderLetGo: a loader that was kept by a gateway that has gone is let go by the
// next one, which has no update to do.
func TestLoaderLetGo(t *testing.T) {
	try(t, func(b *bench) {
		b.flash()
		c, line := b.open(link.Options{})
		_ = c.Update(b.Context(), image(t, bytes.Repeat([]byte("x"), 8193), "2.0.0"), nil)
		if !b.mcu.InLoader() {
			b.Fatal("it is not in the loader")
		}
		line.Close()
		c.Close()
		c, _ = b.open(link.Options{Memory: c.Memory()})
		defer c.Close()
		time.Sleep(3 * time.Second)
		if b.mcu.InLoader() || b.runs(c) != "1.0.0" {
			b.Error("it is still in the loader")
		}
	})
}

// TestUpdateStubborn: an application that does not make room for its loader is not asked
// for ever.
func TestUpdateStubborn(t *testing.T) {
	try(t, func(b *bench) {
		f := b.flash()
		f.Stubborn = true
		c, _ := b.open(link.Options{})
		defer c.Close()
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		defer cancel()
		if err := c.Update(ctx, image(t, firmware("2.0.0"), "2.0.0"), nil); !errors.Is(err, gateway.ErrUnknown) {
			b.Errorf("%v, want %v", err, gateway.ErrUnknown)
		}
		if n := c.Stats().Sessions; n > 20 {
			b.Errorf("%d sessions were begun", n)
		}
	})
}
