package i2csim

// Registers is a chip that has these bytes in its registers, 0 in all others,
// and nothing else: enough to be another chip than the one that is expected.
// What is written to it, but for the register that is read next, is lost. It has
// no pointer of its own: a read alone begins at register 0.
type Registers map[byte]byte

// Tx implements Chip.
func (c Registers) Tx(w, r []byte) error {
	var pointer byte
	if len(w) > 0 {
		pointer = w[0]
	}
	for i := range r {
		r[i] = c[pointer]
		pointer++
	}
	return nil
}
