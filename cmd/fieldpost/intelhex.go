package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// maxHexImage bounds the image in a file of Intel HEX, in bytes.
const maxHexImage = 4 << 20

// readHex reads Intel HEX ("Hexadecimal Object File Format Specification", Intel,
// 1988): the bytes from address 0; what is not in the file is FF.
func readHex(text []byte) ([]byte, error) {
	h := hexReader{}
	for i, line := range bytes.Split(text, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || h.ended {
			continue
		}
		if err := h.record(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if !h.ended {
		return nil, errors.New("it has no last record; it is cut off")
	}
	return h.image, nil
}

type hexReader struct {
	image []byte
	base  uint32 // added to addresses
	ended bool
}

func (h *hexReader) record(line []byte) error {
	raw, err := hex.DecodeString(string(bytes.TrimPrefix(line, []byte(":"))))
	if err != nil || line[0] != ':' || len(raw) < 5 || len(raw) != 5+int(raw[0]) {
		return errors.New("it is no record of Intel HEX")
	}
	sum := byte(0)
	for _, b := range raw {
		sum += b
	}
	if sum != 0 {
		return errors.New("the checksum is wrong")
	}
	data := raw[4 : len(raw)-1]
	switch kind := raw[3]; {
	case kind == 0:
		return h.put(h.base+uint32(binary.BigEndian.Uint16(raw[1:])), data)
	case kind == 1:
		h.ended = true
	case kind == 2 && len(data) == 2:
		h.base = uint32(binary.BigEndian.Uint16(data)) << 4
	case kind == 4 && len(data) == 2:
		h.base = uint32(binary.BigEndian.Uint16(data)) << 16
	case kind == 3, kind == 5: // where it starts, which the loader knows
	default:
		return fmt.Errorf("type %d is not known", kind)
	}
	return nil
}

func (h *hexReader) put(at uint32, data []byte) error {
	end := uint64(at) + uint64(len(data))
	if end > maxHexImage {
		return fmt.Errorf("address %#x is beyond %d bytes; give the image as a .bin that begins where the part's flash does", at, maxHexImage)
	}
	for uint64(len(h.image)) < end {
		h.image = append(h.image, 0xFF)
	}
	copy(h.image[at:], data)
	return nil
}
