package uplink

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/durable"
)

// book is the file in which a Meter keeps its month.
type book struct {
	Version int       `json:"v"`
	Begins  time.Time `json:"begins,omitzero"`
	Bytes   Usage     `json:"bytes"`
}

const bookVersion = 1

// readBook gives an empty book if there is no file.
func readBook(path string) (book, error) {
	var b book
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return b, fmt.Errorf("data plan: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return book{}, fmt.Errorf("data plan: %s: %w: %w", path, err, gateway.ErrInvalid)
	}
	if b.Version != bookVersion {
		return book{}, fmt.Errorf("data plan: %s has version %d, want %d: %w", path, b.Version, bookVersion, gateway.ErrInvalid)
	}
	return b, nil
}

// write replaces the file as a whole: a power cut leaves the old one or the new.
func (b book) write(path string) error {
	b.Version = bookVersion
	data, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("data plan: %w", err)
	}
	if err := durable.Replace(path, append(data, '\n'), 0o640); err != nil {
		return fmt.Errorf("data plan: %w", err)
	}
	return nil
}
