package link

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	imageHeader = 56
	imageStart  = imageHeader + ed25519.SignatureSize
	imageMagic  = "FPFW"
	imageFormat = 1
)

// Version is that of a firmware. Later versions compare as greater.
type Version uint32

// ParseVersion reads MAJOR.MINOR.PATCH: at most 255, 255 and 65535.
func ParseVersion(s string) (Version, error) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return 0, fmt.Errorf("%q is no version of three numbers: %w", s, gateway.ErrInvalid)
	}
	v := uint64(0)
	for i, bits := range [...]int{8, 8, 16} {
		n, err := strconv.ParseUint(parts[i], 10, bits)
		if err != nil {
			return 0, fmt.Errorf("%q is no version: %q is not a number below %d: %w", s, parts[i], 1<<bits, gateway.ErrInvalid)
		}
		v = v<<bits | n
	}
	return Version(v), nil
}

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v>>24, v>>16&0xFF, v&0xFFFF) }

// Image is a firmware with all that is needed to judge it.
type Image struct {
	// Target is the kind of hardware that it is for.
	Target  uint16
	Version Version
	CRC     uint32
	SHA256  [sha256.Size]byte
	Data    []byte

	header, signature []byte
}

// ParseImage takes a file of firmware apart and checks all but the signature. The
// image refers to the file. Errors wrap gateway.ErrInvalid.
func ParseImage(file []byte) (*Image, error) {
	if len(file) < imageStart {
		return nil, fmt.Errorf("the file has %d bytes, an image has more than %d: %w", len(file), imageStart, gateway.ErrInvalid)
	}
	im, size, err := decodeHeader(file[:imageHeader])
	if err != nil {
		return nil, err
	}
	im.signature, im.Data = file[imageHeader:imageStart], file[imageStart:]
	switch {
	case uint64(len(im.Data)) != uint64(size):
		return nil, fmt.Errorf("the image has %d bytes, its header says %d: %w", len(im.Data), size, gateway.ErrInvalid)
	case Checksum(im.Data) != im.CRC:
		return nil, fmt.Errorf("the image does not have the CRC in its header: %w", gateway.ErrInvalid)
	case sha256.Sum256(im.Data) != im.SHA256:
		return nil, fmt.Errorf("the image does not have the SHA-256 in its header: %w", gateway.ErrInvalid)
	}
	return im, nil
}

// decodeHeader takes the 56 bytes before the signature apart.
func decodeHeader(h []byte) (im *Image, size uint32, err error) {
	if len(h) != imageHeader || string(h[:4]) != imageMagic {
		return nil, 0, fmt.Errorf("it is no firmware image: it does not begin with %s: %w", imageMagic, gateway.ErrInvalid)
	}
	if format := le.Uint16(h[4:]); format != imageFormat {
		return nil, 0, fmt.Errorf("the image has format %d, only %d is known: %w", format, imageFormat, gateway.ErrInvalid)
	}
	im = &Image{Target: le.Uint16(h[6:]), Version: Version(le.Uint32(h[8:])), CRC: le.Uint32(h[16:]), header: h}
	copy(im.SHA256[:], h[24:])
	size = le.Uint32(h[12:])
	if im.Target == 0 || size == 0 || le.Uint32(h[20:]) != 0 {
		return nil, 0, fmt.Errorf("the header of the image is malformed: no target, no size, or reserved bytes: %w", gateway.ErrInvalid)
	}
	return im, size, nil
}

// Verify checks the signature. Its error wraps gateway.ErrDenied.
func (im *Image) Verify(key ed25519.PublicKey) error {
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, im.header, im.signature) {
		return fmt.Errorf("the image is not signed by the owner of the key: %w", gateway.ErrDenied)
	}
	return nil
}

// Sign makes a file of firmware out of an image.
func Sign(data []byte, target uint16, v Version, key ed25519.PrivateKey) []byte {
	sum := sha256.Sum256(data)
	h := le.AppendUint16([]byte(imageMagic), imageFormat)
	h = le.AppendUint16(h, target)
	for _, x := range [...]uint32{uint32(v), uint32(len(data)), Checksum(data), 0} {
		h = le.AppendUint32(h, x)
	}
	h = append(h, sum[:]...)
	return append(append(h, ed25519.Sign(key, h)...), data...)
}
