package modbus

import (
	"encoding/binary"
	"fmt"

	"github.com/fieldpost/fieldpost/gateway"
)

// Table is one of the four tables of a unit; its value is the function that
// reads it.
type Table byte

// The tables.
const (
	Coils    Table = 1
	Discrete Table = 2
	Holding  Table = 3
	Input    Table = 4
)

// Bits tells whether a table has bits, not registers of 16.
func (t Table) Bits() bool { return t == Coils || t == Discrete }

// The functions that write.
const (
	writeCoil      = 5
	writeRegister  = 6
	writeCoils     = 15
	writeRegisters = 16
)

// What one request can be about at most.
const (
	MaxReadBits       = 2000
	MaxReadRegisters  = 125
	MaxWriteRegisters = 123
	// maxPDU bounds function and data together.
	maxPDU = 253
)

// Request is one request to one unit.
type Request struct {
	unit byte
	// pdu is the function and its data.
	pdu []byte
}

// Unit is whom the request is for.
func (r Request) Unit() byte { return r.unit }

// Writes tells whether the request changes something.
func (r Request) Writes() bool { return r.pdu[0] >= writeCoil }

// Read asks for count bits or registers from an address on.
func Read(unit byte, t Table, address, count uint16) Request {
	return request(unit, byte(t), address, count)
}

// WriteCoil sets one coil.
func WriteCoil(unit byte, address uint16, on bool) Request {
	value := uint16(0)
	if on {
		value = 0xff00
	}
	return request(unit, writeCoil, address, value)
}

// WriteRegister sets one holding register.
func WriteRegister(unit byte, address, value uint16) Request {
	return request(unit, writeRegister, address, value)
}

// WriteRegisters sets holding registers, MaxWriteRegisters at most, in one go.
func WriteRegisters(unit byte, address uint16, values []uint16) Request {
	r := request(unit, writeRegisters, address, uint16(len(values))) //nolint:gosec // 123 at most
	r.pdu = append(r.pdu, byte(2*len(values)))
	for _, v := range values {
		r.pdu = binary.BigEndian.AppendUint16(r.pdu, v)
	}
	return r
}

func request(unit, function byte, address, value uint16) Request {
	pdu := binary.BigEndian.AppendUint16([]byte{function}, address)
	return Request{unit: unit, pdu: binary.BigEndian.AppendUint16(pdu, value)}
}

// count is how many bits or registers a request reads.
func (r Request) count() int { return int(binary.BigEndian.Uint16(r.pdu[3:])) }

// dataBytes is how many bytes of values the answer to a read has.
func (r Request) dataBytes() int {
	if Table(r.pdu[0]).Bits() {
		return (r.count() + 7) / 8
	}
	return 2 * r.count()
}

// answerBytes is the length of the PDU that answers, exceptions aside.
func (r Request) answerBytes() int {
	if r.Writes() {
		return 5
	}
	return 2 + r.dataBytes()
}

// values checks the PDU of an answer and returns the values in it: bits, the
// first in the lowest bit, or registers; none of a write.
func (r Request) values(pdu []byte) ([]byte, error) {
	switch {
	case len(pdu) == 2 && pdu[0] == r.pdu[0]|exceptionBit:
		return nil, Exception(pdu[1])
	case len(pdu) != r.answerBytes() || pdu[0] != r.pdu[0]:
		return nil, fmt.Errorf("the answer % x does not fit the request % x: %w", pdu, r.pdu, gateway.ErrInvalid)
	case r.Writes():
		if string(pdu) != string(r.pdu[:5]) {
			return nil, fmt.Errorf("the unit confirms % x, but asked for was % x: %w", pdu, r.pdu[:5], gateway.ErrInvalid)
		}
		return nil, nil
	case int(pdu[1]) != r.dataBytes():
		return nil, fmt.Errorf("the answer has %d bytes of values; want %d: %w", pdu[1], r.dataBytes(), gateway.ErrInvalid)
	}
	return pdu[2:], nil
}
