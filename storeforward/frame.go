package storeforward

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/fieldpost/fieldpost/gateway"
)

// Everything in the store is kept as a frame: a value that says by itself what
// it is and whether it is whole. So it can be found by its first bytes in what
// is left of a damaged store, without the engine that it was written by.
//
//	magic "fpq1"    4
//	kind            1  see frameKind
//	codec           1  of the payload
//	store           6  the store that the lane belongs to
//	lane            1  the lane's number in this store
//	epoch           4
//	first           8  sequence number of the first message; arrival in the journal
//	count           4  messages; of a cursor, the number of the transaction
//	payload length  4
//	payload CRC     4  CRC-32C
//	header CRC      4  CRC-32C of all that is before it
//	payload …
//
// Numbers are little endian.
const (
	frameMagic  = "fpq1"
	frameHeader = 41
)

// frameKind says what a frame holds.
type frameKind byte

const (
	frameStore   frameKind = 's'
	frameLane    frameKind = 'l'
	frameCursor  frameKind = 'k'
	frameChunk   frameKind = 'c'
	frameGap     frameKind = 'g'
	frameJournal frameKind = 'j'
)

// castagnoli is the polynomial of CRC-32C (RFC 3720, B.4).
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errDamaged = errors.New("damaged")
	// errPayload: the header is whole, so that it is known what is lost.
	errPayload = fmt.Errorf("payload checksum: %w", errDamaged)
)

type frame struct {
	kind    frameKind
	codec   byte
	store   string // 12 hexadecimal digits
	lane    uint8
	epoch   uint32
	first   uint64
	count   uint32
	payload []byte
}

// last is the sequence number of the last message.
func (f frame) last() uint64 { return f.first + uint64(f.count) - 1 }

func (f frame) encode() []byte { return f.append(make([]byte, 0, frameHeader+len(f.payload))) }

// append encodes the frame behind dst.
func (f frame) append(dst []byte) []byte {
	var header [frameHeader]byte
	buf := header[:]
	copy(buf, frameMagic)
	buf[4], buf[5] = byte(f.kind), f.codec
	_, _ = hex.Decode(buf[6:12], []byte(f.store)) // store ids are made by newStoreID
	buf[12] = f.lane
	binary.LittleEndian.PutUint32(buf[13:], f.epoch)
	binary.LittleEndian.PutUint64(buf[17:], f.first)
	binary.LittleEndian.PutUint32(buf[25:], f.count)
	binary.LittleEndian.PutUint32(buf[29:], uint32(len(f.payload)))
	binary.LittleEndian.PutUint32(buf[33:], crc32.Checksum(f.payload, castagnoli))
	binary.LittleEndian.PutUint32(buf[37:], crc32.Checksum(buf[:37], castagnoli))
	return append(append(dst, buf...), f.payload...)
}

// decodeFrame reads the frame that data begins with; its payload is part of
// data. Beside errPayload the frame is returned as the header tells it.
func decodeFrame(data []byte) (frame, error) {
	if len(data) < frameHeader || string(data[:4]) != frameMagic {
		return frame{}, fmt.Errorf("no frame: %w", errDamaged)
	}
	if crc32.Checksum(data[:37], castagnoli) != binary.LittleEndian.Uint32(data[37:]) {
		return frame{}, fmt.Errorf("frame header checksum: %w", errDamaged)
	}
	f := frame{
		kind: frameKind(data[4]), codec: data[5], store: hex.EncodeToString(data[6:12]), lane: data[12],
		epoch: binary.LittleEndian.Uint32(data[13:]),
		first: binary.LittleEndian.Uint64(data[17:]),
		count: binary.LittleEndian.Uint32(data[25:]),
	}
	size := binary.LittleEndian.Uint32(data[29:])
	if size > maxPayload || f.first+uint64(f.count) < f.first {
		return frame{}, fmt.Errorf("frame of %d bytes: %w", size, errDamaged)
	}
	rest := data[frameHeader:]
	f.payload = rest[:min(uint64(size), uint64(len(rest)))]
	if len(f.payload) < int(size) || crc32.Checksum(f.payload, castagnoli) != binary.LittleEndian.Uint32(data[33:]) {
		return f, errPayload
	}
	return f, nil
}

// expect checks that a frame is of the kind that its key promises.
func expect(data []byte, kind frameKind) (frame, error) {
	f, err := decodeFrame(data)
	if err == nil && f.kind != kind {
		err = fmt.Errorf("frame of kind %q instead of %q: %w", f.kind, kind, errDamaged)
	}
	return f, err
}

// validStore reports whether s is a store id: 12 hexadecimal digits.
func validStore(s string) bool {
	id, err := hex.DecodeString(s)
	return err == nil && len(id) == 6
}

// laneRecord is the payload of a frameLane: the name behind a lane's number.
func laneFrame(l *lane) []byte {
	return frame{kind: frameLane, store: l.store, lane: l.number, payload: []byte(l.name)}.encode()
}

func decodeLane(data []byte) (store string, name gateway.Lane, number uint8, err error) {
	f, err := expect(data, frameLane)
	if err == nil && !gateway.ValidLane(string(f.payload)) {
		err = fmt.Errorf("lane name: %w", errDamaged)
	}
	return f.store, gateway.Lane(f.payload), f.lane, err
}
