package modbus

import "encoding/binary"

// crc is CRC-16/MODBUS: polynomial 0x8005 reflected (0xA001), from 0xFFFF on;
// V1.02, section 6.2.2.
func crc(b []byte) uint16 {
	sum := uint16(0xffff)
	for _, x := range b {
		sum ^= uint16(x)
		for range 8 {
			if sum&1 != 0 {
				sum = sum>>1 ^ 0xa001
			} else {
				sum >>= 1
			}
		}
	}
	return sum
}

func appendCRC(frame []byte) []byte { return binary.LittleEndian.AppendUint16(frame, crc(frame)) }
