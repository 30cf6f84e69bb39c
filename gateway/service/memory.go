package service

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/dating"
	"github.com/fieldpost/fieldpost/gateway/durable"
)

// maxMemory is how many bytes a device may keep.
const maxMemory = 4 << 10

// memory implements gateway.Memory in a file: the inverted checksum (CRC-32C, big
// endian) of the bytes, then the bytes. So a file that a power cut has torn, emptied or
// filled with zeros is known for what it is.
type memory struct {
	path string
	log  *slog.Logger
	// limit is how many bytes may be kept; 0 is maxMemory.
	limit int
}

// newBootMemory is what is remembered of the starts of the board.
func newBootMemory(dataDir string, log *slog.Logger) *memory {
	return &memory{path: filepath.Join(dataDir, "boots.memory"), log: log, limit: dating.MaxMemory}
}

func (m *memory) most() int { return cmp.Or(m.limit, maxMemory) }

// newMemory is that of one device. Ids are such that they can be names of files;
// the ending keeps them apart from files that are being written.
func newMemory(dataDir, device string, log *slog.Logger) *memory {
	return &memory{path: filepath.Join(dataDir, "devices", device+".memory"), log: log}
}

// Load implements gateway.Memory.
func (m *memory) Load() ([]byte, error) {
	file, err := os.ReadFile(m.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("memory of the device: %w", err)
	}
	data, sound := unframe(file, m.most())
	if !sound {
		m.log.Warn("the memory of the device is damaged; it begins anew", "file", m.path)
	}
	return data, nil
}

// Save implements gateway.Memory.
func (m *memory) Save(data []byte) error {
	if len(data) > m.most() {
		return fmt.Errorf("memory of the device: %d bytes; want at most %d: %w", len(data), m.most(), gateway.ErrInvalid)
	}
	if err := durable.MakeDir(filepath.Dir(m.path), 0o750); err != nil {
		return fmt.Errorf("memory of the device: %w", err)
	}
	if err := durable.Replace(m.path, frame(data), 0o640); err != nil {
		return fmt.Errorf("memory of the device: %w", err)
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame puts the checksum before the data, inverted: that of nothing is zero.
func frame(data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, ^crc32.Checksum(data, castagnoli)), data...)
}

// unframe returns the data of a frame, if it is sound.
func unframe(file []byte, most int) (data []byte, sound bool) {
	if len(file) < 4 || len(file) > 4+most {
		return nil, false
	}
	if binary.BigEndian.Uint32(file) != ^crc32.Checksum(file[4:], castagnoli) {
		return nil, false
	}
	return file[4:], true
}
