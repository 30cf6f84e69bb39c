package storeforward

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/fieldpost/fieldpost/gateway"
)

// MinKeyBytes is the least length of Options.Key.
const MinKeyBytes = 16

// codecSealed marks a payload that is encrypted with XChaCha20-Poly1305
// (draft-irtf-cfrg-xchacha-03): nonce, 24 random bytes, then the ciphertext
// with its tag. It is fast on boards without instructions for AES.
const codecSealed = 0x80

// ErrKey says that the store is encrypted and the key is missing or another one.
var ErrKey = fmt.Errorf("store is encrypted with another key: %w", gateway.ErrInvalid)

// sealer encrypts payloads; a nil one leaves them as they are. It hides what
// messages and commands say from whoever takes the card; sizes, times and
// sequence numbers stay visible. Goroutines may share it.
type sealer struct{ aead cipher.AEAD }

// newSealer derives the key of the cipher from whatever secret is given.
func newSealer(secret []byte) (*sealer, error) {
	if len(secret) == 0 {
		return nil, nil
	}
	if len(secret) < MinKeyBytes {
		return nil, fmt.Errorf("store: key of %d bytes: want at least %d random ones: %w", len(secret), MinKeyBytes, gateway.ErrInvalid)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "fieldpost store", chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("store: key: %w", err)
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("store: key: %w", err)
	}
	return &sealer{aead}, nil
}

// bound is what a payload is tied to, so that it cannot be taken for another.
func bound(f frame) []byte {
	buf := append([]byte{byte(f.kind), f.codec | codecSealed}, f.store...)
	buf = binary.LittleEndian.AppendUint64(buf, f.first)
	return binary.LittleEndian.AppendUint32(buf, f.count)
}

// seal encrypts the payload of a frame.
func (s *sealer) seal(f frame) frame {
	if s == nil {
		return f
	}
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(f.payload)+s.aead.Overhead())
	rand.Read(nonce) // never fails
	f.payload = s.aead.Seal(nonce, nonce, f.payload, bound(f))
	f.codec |= codecSealed
	return f
}

// open gives the frame with its payload decrypted, if it was sealed.
func (s *sealer) open(f frame) (frame, error) {
	if f.codec&codecSealed == 0 {
		return f, nil
	}
	if s == nil {
		return f, ErrKey
	}
	if n := s.aead.NonceSize(); len(f.payload) >= n {
		plain, err := s.aead.Open(nil, f.payload[:n], f.payload[n:], bound(f))
		f.codec &^= codecSealed
		if err == nil {
			f.payload = plain
			return f, nil
		}
	}
	return f, fmt.Errorf("payload does not decrypt: %w", errDamaged)
}
