package storeforward

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// place is where a frame stands.
type place struct {
	path   string
	offset int64
}

// scanStore gives every frame in the files of a store to found, older versions
// too, file by file. It needs nothing of the engine. A frame whose payload is
// damaged is passed over with its payload.
func scanStore(dir string, found func(frame, place) error) error {
	for _, pattern := range []string{"*.sst", "*.mem"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		slices.Sort(files)
		for _, path := range files {
			if err := scanFile(path, found); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// scanBytes is how much of a file is looked at in one go.
const scanBytes = 1 << 20

// scanFile gives the frames of one file in the order of their places. The
// payload is valid during the call only.
func scanFile(path string, found func(frame, place) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	buf := make([]byte, scanBytes)
	for offset := int64(0); offset < info.Size(); {
		data := readThrough(f, buf, offset)
		used, err := scanBuffer(data, func(fr frame, at int) error { return found(fr, place{path, offset + int64(at)}) })
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if len(data) < len(buf) {
			break
		}
		offset += int64(used)
	}
	return nil
}

// scanBuffer finds the frames that lie whole in data, and says from where to
// go on.
func scanBuffer(data []byte, found func(frame, int) error) (used int, err error) {
	at := 0
	for {
		i := bytes.Index(data[at:], []byte(frameMagic))
		if i < 0 {
			return max(at, len(data)-len(frameMagic)+1), nil
		}
		at += i
		f, err := decodeFrame(data[at:])
		end := at + frameHeader + frameSize(data[at:])
		switch {
		case len(data)-at < frameHeader && at > 0:
			return at, nil // its header goes on behind the buffer
		case err == nil:
			if err := found(f, at); err != nil {
				return at, err
			}
			at = end
		case !errors.Is(err, errPayload):
			at++
		case end > len(data) && at > 0:
			return at, nil // the payload does
		default:
			at = min(end, len(data))
		}
	}
}

// frameSize is the length of the payload as a header tells it.
func frameSize(data []byte) int {
	if len(data) < frameHeader {
		return 0
	}
	return int(binary.LittleEndian.Uint32(data[29:]))
}

// readThrough fills buf from an offset on. What the disk does not give is zero.
func readThrough(f io.ReaderAt, buf []byte, offset int64) []byte {
	n, err := f.ReadAt(buf, offset)
	if err == nil || errors.Is(err, io.EOF) {
		return buf[:n]
	}
	const sector = 4096
	clear(buf)
	for at := 0; at < len(buf); at += sector {
		if n, err := f.ReadAt(buf[at:min(at+sector, len(buf))], offset+int64(at)); errors.Is(err, io.EOF) {
			return buf[:at+n]
		}
	}
	return buf
}

// readFrame reads the frame at a place again.
func readFrame(at place, size int) (frame, error) {
	f, err := os.Open(at.path)
	if err != nil {
		return frame{}, err
	}
	defer func() { _ = f.Close() }()
	data := make([]byte, frameHeader+size)
	if _, err := f.ReadAt(data, at.offset); err != nil {
		return frame{}, fmt.Errorf("%s: %w", at.path, err)
	}
	return decodeFrame(data)
}
