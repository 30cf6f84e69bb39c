package bus

import "time"

// Chip says how a chip on an I2C bus can be told from others, for hints and for
// probing. A driver lists its chips by a method Chips of its config.
type Chip struct {
	// Name of the chip, such as "BME280".
	Name string
	// Addresses that it can have.
	Addresses []uint16
	// Ask is what is written before the id is read: a register or a command that
	// changes nothing. Empty if the chip has no id.
	Ask []byte
	// Answer is how many bytes the id has.
	Answer int
	// Pause is how long the chip takes for its answer; if it is not 0, the
	// answer is read in a transaction of its own after it.
	Pause time.Duration
	// Is tells whether an answer is that of this chip; nil if it has no id.
	Is func(answer []byte) bool
}

// Chipped is the config of a driver for chips on an I2C bus.
type Chipped interface {
	Chips() []Chip
}

// HasID says that a chip has the id want at the register ask.
func HasID(want ...byte) func(answer []byte) bool {
	return func(answer []byte) bool { return string(answer) == string(want) }
}
