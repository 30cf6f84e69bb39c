package i2csim

import "time"

// SHT is a thermometer and hygrometer of Sensirion: an SHT3x (SHT3x-DIS data sheet,
// version 6) or an SHT4x (SHT4x data sheet, version 6). Until a measurement is over
// it does not acknowledge that it is read, and what was read once is gone.
type SHT struct {
	Temperature, Humidity uint16 // as the chip gives them
	// Periodic says that an SHT3x measures by itself: then it takes no command to
	// measure once until it is told to stop.
	Periodic bool

	commands map[string]shtCommand
	answer   []uint16
	ready    time.Time
}

// shtCommand is what follows a command.
type shtCommand struct {
	takes  time.Duration
	answer func(*SHT) []uint16
	do     func(*SHT)
	once   bool // it measures once
}

func shtValues(c *SHT) []uint16 { return []uint16{c.Temperature, c.Humidity} }

// NewSHT3x returns an SHT30, SHT31 or SHT35 that has just been powered.
func NewSHT3x() *SHT {
	return newSHT(map[string]shtCommand{
		"\x24\x00": {takes: 15500 * time.Microsecond, answer: shtValues, once: true},
		"\x24\x0b": {takes: 6500 * time.Microsecond, answer: shtValues, once: true},
		"\x24\x16": {takes: 4500 * time.Microsecond, answer: shtValues, once: true},
		"\xf3\x2d": {takes: time.Millisecond, answer: func(*SHT) []uint16 { return []uint16{0x8010} }},
		"\x30\x93": {takes: time.Millisecond, do: func(c *SHT) { c.Periodic = false }},
		"\x30\xa2": {takes: 1500 * time.Microsecond},
	})
}

// NewSHT4x returns an SHT40, SHT41 or SHT45 that has just been powered.
func NewSHT4x() *SHT {
	return newSHT(map[string]shtCommand{
		"\xfd": {takes: 8300 * time.Microsecond, answer: shtValues, once: true},
		"\xf6": {takes: 4500 * time.Microsecond, answer: shtValues, once: true},
		"\xe0": {takes: 1700 * time.Microsecond, answer: shtValues, once: true},
		"\x89": {takes: time.Millisecond, answer: func(*SHT) []uint16 { return []uint16{0x0fb1, 0x6d2a} }},
		"\x94": {takes: time.Millisecond},
	})
}

// newSHT returns a chip that has 25.00 °C and about half of the moisture that
// the air can have.
func newSHT(commands map[string]shtCommand) *SHT {
	return &SHT{Temperature: 26214, Humidity: 32768, commands: commands}
}

// Tx implements Chip.
func (c *SHT) Tx(w, r []byte) error {
	if len(w) > 0 {
		if err := c.command(string(w)); err != nil {
			return err
		}
	}
	if len(r) == 0 {
		return nil
	}
	if c.answer == nil || time.Now().Before(c.ready) {
		return NoAck()
	}
	fill(r)
	copy(r, sensirionWords(c.answer))
	c.answer = nil
	return nil
}

func (c *SHT) command(w string) error {
	command, known := c.commands[w]
	if !known || time.Now().Before(c.ready) || command.once && c.Periodic {
		return NoAck()
	}
	c.ready, c.answer = time.Now().Add(command.takes), nil
	if command.answer != nil {
		c.answer = command.answer(c)
	}
	if command.do != nil {
		command.do(c)
	}
	return nil
}

// fill puts ones, what a bus reads when nobody drives it.
func fill(r []byte) {
	for i := range r {
		r[i] = 0xff
	}
}

// sensirionWords are words with their checksums.
func sensirionWords(words []uint16) (b []byte) {
	for _, w := range words {
		b = append(b, byte(w>>8), byte(w))
		b = append(b, crc8(b[len(b)-2:]))
	}
	return b
}

// crc8 divides by x⁸+x⁵+x⁴+1, after 0xff, bit by bit as on paper.
func crc8(b []byte) byte {
	rest := uint16(0xff)
	for _, v := range b {
		for bit := 7; bit >= 0; bit-- {
			rest = rest<<1 ^ uint16(v>>bit&1)<<8
			if rest&0x100 != 0 {
				rest ^= 0x131
			}
		}
	}
	return byte(rest)
}
