package mcu

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/durable"
)

const (
	// keptImage is the image that was confirmed last, to be put back.
	keptImage   = "confirmed.fpfw"
	imageSuffix = ".fpfw"
	// strayAge is after how long an image that no command has asked for is removed.
	strayAge = 7 * 24 * time.Hour
)

// KeepFiles implements gateway.FileKeeper.
func (d *Dev) KeepFiles(dir string) { d.files = dir }

// FetchThrough implements gateway.Fetcher.
func (d *Dev) FetchThrough(proxy func() *url.URL) { d.proxy = proxy }

// image is the file of firmware that a command is for. Once it is fetched it is kept
// until the command has its final state, so that it stays the same over restarts.
func (d *Dev) image(ctx context.Context, cmd gateway.Command) ([]byte, error) {
	from, want := asked(cmd)
	if sum, err := hex.DecodeString(want); want != "" && (err != nil || len(sum) != sha256.Size) {
		return nil, fmt.Errorf("sha256: want 64 hexadecimal digits: %w", gateway.ErrDenied)
	}
	var file []byte
	var err error
	switch {
	case d.files == "":
		return nil, fmt.Errorf("there is no place for images here; the running gateway has one: %w", gateway.ErrUnavailable)
	case from != "":
		file, err = d.fetched(ctx, cmd, from)
	case want != "":
		if file, err = os.ReadFile(d.file(cmd)); errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("no image with this sha256 was handed over; `fieldpost firmware update` does so: %w", gateway.ErrDenied)
		}
	default:
		return nil, fmt.Errorf("want url or sha256: %w", gateway.ErrDenied)
	}
	if err != nil {
		return nil, err
	}
	if got := sha256.Sum256(file); want != "" && hex.EncodeToString(got[:]) != want {
		return nil, fmt.Errorf("the file has the sha256 %x, not %s: %w", got, want, gateway.ErrDenied)
	}
	return file, nil
}

// asked is where a command wants its image from, and which checksum that is to have.
func asked(cmd gateway.Command) (from, sum string) {
	from, _ = cmd.Args["url"].(string)
	sum, _ = cmd.Args["sha256"].(string)
	return from, strings.ToLower(sum)
}

// file is where the image of a command is kept: under its checksum if it was handed
// over, else under that of the command's id.
func (d *Dev) file(cmd gateway.Command) string {
	from, name := asked(cmd)
	if from != "" {
		of := sha256.Sum256([]byte(cmd.ID))
		name = "command-" + hex.EncodeToString(of[:8])
	}
	return filepath.Join(d.files, name+imageSuffix)
}

// fetched is the file of a URL, as it was when the command first asked for it.
func (d *Dev) fetched(ctx context.Context, cmd gateway.Command, from string) ([]byte, error) {
	path := d.file(cmd)
	if file, err := os.ReadFile(path); err == nil {
		return file, nil
	}
	d.tellUpdate(ctx, "fetching")
	file, err := d.fetch(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("fetching the image: %w", err)
	}
	if err := durable.MakeDir(d.files, 0o750); err != nil {
		return nil, fmt.Errorf("keeping the image: %w", err)
	}
	if err := durable.Replace(path, file, 0o640); err != nil {
		return nil, fmt.Errorf("keeping the image: %w", err)
	}
	return file, nil
}

// before is the image that was confirmed last.
func (d *Dev) before() (*link.Image, error) {
	file, err := os.ReadFile(filepath.Join(d.files, keptImage))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("the gateway has no image of what ran before")
	}
	if err != nil {
		return nil, err
	}
	return link.ParseImage(file)
}

// keep keeps the image that was confirmed, to be put back.
func (d *Dev) keep(confirmed []byte) {
	if err := durable.Replace(filepath.Join(d.files, keptImage), confirmed, 0o640); err != nil {
		d.log.Warn("the image is not kept, so that it could not be put back one day", "error", err)
	}
}

// tidy removes the image of a command that has its final state, and those that were
// handed over long ago for a command that has never come. Others may be waited for.
func (d *Dev) tidy(cmd gateway.Command) {
	if d.files == "" {
		return
	}
	files, _ := filepath.Glob(filepath.Join(d.files, "*"+imageSuffix)) // the pattern is right
	for _, file := range files {
		info, err := os.Stat(file)
		stray := err == nil && time.Since(info.ModTime()) > strayAge
		if filepath.Base(file) == keptImage || file != d.file(cmd) && !stray {
			continue
		}
		if err := os.Remove(file); err != nil {
			d.log.Warn("a file of firmware that is not needed any more stays", "error", err)
		}
	}
}
