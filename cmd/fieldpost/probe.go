package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/fieldpost/fieldpost/drivers/probe"
	"github.com/fieldpost/fieldpost/gateway/service"
)

type probeCmd struct {
	socketFlag
	Bus      []string      `help:"Ask this I2C bus alone, such as i2c-1; may be given again. It is asked even if it seems to be the board's own." placeholder:"NAME"`
	ReadOnly bool          `help:"Ask no chip for its id, so that nothing is written to any."`
	Commands bool          `help:"Ask chips, too, that answer to a command only, such as SHT3x: it is written where nobody has answered a read."`
	Listen   time.Duration `help:"Open free serial ports and listen so long at each usual rate, such as 2s. Opening one resets a board such as an Arduino." placeholder:"TIME"`
	Port     []string      `help:"Listen to this serial port alone; may be given again." placeholder:"PORT"`
	Modbus   string        `help:"Ask the Modbus units on this serial port, or at host:port, for their register 0." placeholder:"LINE"`
	Baud     int           `help:"Rate of the serial port for --modbus." default:"9600"`
	Parity   string        `help:"Parity for --modbus: none, even or odd." default:"none" enum:"none,even,odd"`
	Units    int           `help:"Units to ask, from 1 on, at most 247." default:"32"`
	Timeout  time.Duration `help:"How long a unit has for its answer." default:"200ms"`
	JSON     bool          `help:"Print JSON." name:"json"`
}

// Help says what is done to the hardware.
func (probeCmd) Help() string {
	return `Looks at the I2C buses, 1-Wire, chips that the kernel serves, SPI, GPIO lines and
serial ports, and prints a config for what it has found. It needs no config, and
leaves alone what a driver of the kernel or the running gateway uses.

What it does to the hardware: it reads one byte from each I2C address. To who has
answered, and may be a chip with an id that a driver is for, it writes the number of
the id register; not at addresses where a byte could switch or move something:
0x20-0x3f, 0x48-0x67 (expanders, potentiometers, memories, analog outputs). Serial
ports stay closed without --listen and --modbus.

Examples:
  fieldpost probe
  fieldpost probe --bus i2c-1 --commands
  fieldpost probe --listen 2s --port /dev/ttyUSB0
  fieldpost probe --modbus /dev/ttyUSB0 --baud 19200 --parity even
  fieldpost probe --json | jq .i2c`
}

func (c *probeCmd) Run(io streams) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	claims, err := c.claims(io)
	if err != nil {
		return err
	}
	p := newProgress(io, "")
	r, err := probe.Run(ctx, probe.Options{
		Claims: claims, I2C: c.Bus, ReadOnly: c.ReadOnly, Commands: c.Commands,
		Listen: c.Listen, Ports: c.Port, Modbus: c.units(), Progress: p.say,
	})
	p.end()
	switch {
	case err != nil:
		return errInterrupted
	case c.JSON:
		return printJSON(io.out, r)
	}
	r.Print(io.out)
	return nil
}

// units says where Modbus units are to be looked for; nil for nowhere.
func (c *probeCmd) units() *probe.ModbusOptions {
	if c.Modbus == "" {
		return nil
	}
	return &probe.ModbusOptions{Line: c.Modbus, Baud: c.Baud, Parity: c.Parity, Units: c.Units, Timeout: c.Timeout}
}

// Validate is called by the parser.
func (c *probeCmd) Validate() error {
	if c.Units < 1 || c.Units > 247 || c.Timeout <= 0 || c.Listen < 0 {
		return errors.New("want --units from 1 to 247, and times that are not negative")
	}
	return nil
}

// claims are what the running gateway uses, if one runs.
func (c *probeCmd) claims(io streams) (claims []service.Claim, err error) {
	running, err := c.running()
	switch {
	case err != nil:
		return nil, fmt.Errorf("what the gateway uses must be left alone, and it cannot be asked: %w", err)
	case !running:
		return nil, nil
	}
	if err := c.client().get("/v1/claims", &claims); err != nil {
		return nil, err
	}
	if isTerminal(io.err) {
		fmt.Fprintln(io.err, "a gateway runs; what it uses is left alone")
	}
	return claims, nil
}
