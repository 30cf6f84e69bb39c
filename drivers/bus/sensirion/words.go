// Package sensirion knows the words that Sensirion's chips speak on I2C, and some
// of others: two bytes, the most significant first, and a checksum of them; and how
// its thermometers and hygrometers SHT3x and SHT4x are found and asked, which are
// alike but for their commands, times and formula of the humidity.
//
// The checksum is a CRC-8 with the polynomial x⁸+x⁵+x⁴+1 (0x31) that begins with
// 0xff and is neither reflected nor inverted; of BE EF it is 92. (Sensirion,
// SHT3x-DIS data sheet, version 6, section 4.12.)
package sensirion

import (
	"encoding/binary"
	"fmt"

	"github.com/fieldpost/fieldpost/gateway"
)

// CRC is the checksum of b.
func CRC(b []byte) byte {
	crc := byte(0xff)
	for _, v := range b {
		crc ^= v
		for range 8 {
			carry := crc & 0x80
			crc <<= 1
			if carry != 0 {
				crc ^= 0x31
			}
		}
	}
	return crc
}

// wordSize is that of a word with its checksum.
const wordSize = 3

// Words decodes an answer of several words. The error, if one of them was
// disturbed on its way, wraps gateway.ErrInvalid.
func Words(answer []byte) ([]uint16, error) {
	if len(answer)%wordSize != 0 {
		return nil, fmt.Errorf("%d bytes are no words with checksums: %w", len(answer), gateway.ErrInvalid)
	}
	words := make([]uint16, 0, len(answer)/wordSize)
	for ; len(answer) > 0; answer = answer[wordSize:] {
		if want := CRC(answer[:2]); answer[2] != want {
			return nil, fmt.Errorf("the checksum of word %d is wrong (%x has %#02x, want %#02x); check wires, pull-ups and the speed of the bus: %w",
				len(words)+1, answer[:2], answer[2], want, gateway.ErrInvalid)
		}
		words = append(words, binary.BigEndian.Uint16(answer))
	}
	return words, nil
}

// Sound says that an answer is made of words with the right checksums, as a chip
// of another make does not have them.
func Sound(answer []byte) bool {
	words, err := Words(answer)
	return err == nil && len(words) > 0
}

// Append adds words with their checksums to a command.
func Append(command []byte, words ...uint16) []byte {
	for _, w := range words {
		command = binary.BigEndian.AppendUint16(command, w)
		command = append(command, CRC(command[len(command)-2:]))
	}
	return command
}
