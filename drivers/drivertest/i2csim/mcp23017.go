package i2csim

// MCP23017 is Microchip's expander of 16 lines (DS20001952C) in the layout that
// it has after power-up: IOCON.BANK = 0, the address counts up.
type MCP23017 struct {
	// In is what drives the 16 pins from outside, bit 0 is GPA0, bit 8 is GPB0.
	In uint16

	registers [22]byte
	pointer   byte
}

const (
	mcp23017GPIO = 0x12 // and 0x13
	mcp23017OLAT = 0x14 // and 0x15
)

// NewMCP23017 returns a chip that has just been powered: all pins are inputs.
func NewMCP23017() *MCP23017 { return &MCP23017{registers: [22]byte{0xff, 0xff}} }

// Out is what the output latches hold, in the order of In.
func (c *MCP23017) Out() uint16 {
	return uint16(c.registers[mcp23017OLAT]) | uint16(c.registers[mcp23017OLAT+1])<<8
}

// Tx implements Chip.
func (c *MCP23017) Tx(w, r []byte) error {
	for i, v := range w {
		if i == 0 {
			c.pointer = v % byte(len(c.registers))
			continue
		}
		c.write(v)
		c.next()
	}
	for i := range r {
		r[i] = c.read()
		c.next()
	}
	return nil
}

func (c *MCP23017) next() { c.pointer = (c.pointer + 1) % byte(len(c.registers)) }

func (c *MCP23017) write(v byte) {
	if c.pointer == mcp23017GPIO || c.pointer == mcp23017GPIO+1 {
		c.registers[c.pointer+2] = v // a write of GPIO sets the latch
		return
	}
	c.registers[c.pointer] = v
}

func (c *MCP23017) read() byte {
	port := c.pointer - mcp23017GPIO
	if port > 1 {
		return c.registers[c.pointer]
	}
	inputs, inverted, latch := c.registers[port], c.registers[2+port], c.registers[mcp23017OLAT+port]
	return (byte(c.In>>(8*port))^inverted)&inputs | latch&^inputs
}
