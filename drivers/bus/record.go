package bus

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Transaction is what has passed between the board and a chip.
type Transaction struct {
	// Bus is its name in the config, At the place on it: the address of an I2C
	// chip as 0x76, the chip select of an SPI chip as cs0.
	Bus, At string
	// Wrote was sent first, or at the same time on SPI; Read has what came back,
	// or only its length if there is an error.
	Wrote, Read []byte
	Err         error
	Took        time.Duration
}

// String is one line of a record:
//
//	i2c-1 0x48 w 01c383 r - 350µs
//	i2c-1 0x48 w 00 r 66c0 412µs
//	spi-0 cs0 w 018000 r 0001ff 95µs
//	i2c-1 0x76 w d0 r xx 1.2ms no answer: unavailable
//
// Bytes are in hexadecimal, none as a dash, and those that never came as xx.
// What stands behind the duration is the error. The package drivertest plays
// records back.
func (t Transaction) String() string {
	read := hexOrDash(t.Read)
	if t.Err != nil && len(t.Read) > 0 {
		read = strings.Repeat("xx", len(t.Read))
	}
	line := fmt.Sprintf("%s %s w %s r %s %v", t.Bus, t.At, hexOrDash(t.Wrote), read, t.Took)
	if t.Err != nil {
		line += " " + strings.Join(strings.Fields(t.Err.Error()), " ")
	}
	return line
}

func hexOrDash(b []byte) string {
	if len(b) == 0 {
		return "-"
	}
	return hex.EncodeToString(b)
}
