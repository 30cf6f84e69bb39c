package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
)

type firmwareKeygenCmd struct {
	File string `arg:"" help:"New file for the private key (PEM, PKCS #8). Keep it off the boards." type:"path"`
}

func (c *firmwareKeygenCmd) Run(io streams) error {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = pem.Encode(file, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(io.out, "firmware_keys: [%s]\n", base64.StdEncoding.EncodeToString(public))
	return err
}

type firmwareSignCmd struct {
	Image   string `arg:"" help:"Image as a compiler makes it: .hex (Intel HEX), or else its bytes from address 0." type:"path"`
	Output  string `arg:"" help:"File of firmware to write." type:"path"`
	Key     string `help:"Private key: Ed25519 in PEM, of 'fieldpost firmware keygen' or OpenSSL." required:"" type:"path"`
	Target  string `help:"Kind of hardware in hex, as its loader says: 0328 is an ATmega328P." required:""`
	Version string `help:"Version, as in the firmware's descriptor." required:""`
}

func (c *firmwareSignCmd) Run(io streams) error {
	version, err := link.ParseVersion(c.Version)
	if err != nil {
		return &failure{exitUsage, err}
	}
	target, err := strconv.ParseUint(strings.TrimPrefix(c.Target, "0x"), 16, 16)
	if err != nil || target == 0 {
		return &failure{exitUsage, fmt.Errorf("target %q: want 1 to ffff, in hex", c.Target)}
	}
	key, err := readKey(c.Key)
	if err != nil {
		return err
	}
	image, err := os.ReadFile(c.Image)
	if err != nil {
		return err
	}
	if strings.HasSuffix(strings.ToLower(c.Image), ".hex") {
		if image, err = readHex(image); err != nil {
			return fmt.Errorf("%s: %w", c.Image, err)
		}
	}
	if len(image) == 0 {
		return fmt.Errorf("%s is empty", c.Image)
	}
	file := link.Sign(image, uint16(target), version, key)
	if err := os.WriteFile(c.Output, file, 0o644); err != nil {
		return err
	}
	return describeImage(io, file)
}

// readKey reads a private key.
func readKey(path string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key in PEM", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: the key is %T; want Ed25519", path, key)
	}
	return private, nil
}

type firmwareInspectCmd struct {
	File string `arg:"" help:"File of firmware." type:"path"`
	Key  string `help:"Public key (base64, as in firmware_keys) that it must be signed with."`
}

func (c *firmwareInspectCmd) Run(io streams) error {
	file, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	im, err := link.ParseImage(file)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if c.Key != "" {
		key, err := base64.StdEncoding.DecodeString(c.Key)
		if err != nil || len(key) != ed25519.PublicKeySize {
			return &failure{exitUsage, errors.New("--key is no public key; want what `fieldpost firmware keygen` prints")}
		}
		if err := im.Verify(key); err != nil {
			return err
		}
	}
	return describeImage(io, file)
}

// describeImage prints what a sound file of firmware is.
func describeImage(io streams, file []byte) error {
	im, err := link.ParseImage(file)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(io.out, "version  %v\ntarget   %04x\nimage    %d bytes, sha256 %x\nfile     %d bytes, sha256 %x\n",
		im.Version, im.Target, len(im.Data), im.SHA256, len(file), sha256.Sum256(file))
	return err
}
