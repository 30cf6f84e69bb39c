package link

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

// testKey is a pair of keys from a seed of zeros, which nobody else uses.
func testKey() (ed25519.PublicKey, ed25519.PrivateKey) {
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	return private.Public().(ed25519.PublicKey), private
}

func TestImage(t *testing.T) {
	public, private := testKey()
	v, err := ParseVersion("1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte{1, 2, 3}, 1000)
	file := Sign(data, 0x328, v, private)
	im, err := ParseImage(file)
	if err != nil {
		t.Fatal(err)
	}
	if im.Target != 0x328 || im.Version != v || !bytes.Equal(im.Data, data) || im.Verify(public) != nil {
		t.Errorf("it comes back as %+v, %v", im, im.Verify(public))
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []ed25519.PublicKey{nil, other, public[:31]} {
		if err := im.Verify(key); !errors.Is(err, gateway.ErrDenied) {
			t.Errorf("by the key %x it verifies: %v", key, err)
		}
	}
}

// TestImageDamaged: no byte of a file can change unnoticed.
func TestImageDamaged(t *testing.T) {
	public, private := testKey()
	file := Sign([]byte("a small image"), 0x328, 1, private)
	for i := range file {
		b := bytes.Clone(file)
		b[i] ^= 0x40
		im, err := ParseImage(b)
		if err == nil {
			err = im.Verify(public)
		}
		if err == nil {
			t.Errorf("byte %d has changed and nobody says so", i)
		}
	}
	for n := range file {
		if _, err := ParseImage(file[:n]); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("of %d bytes: %v", n, err)
		}
	}
}
