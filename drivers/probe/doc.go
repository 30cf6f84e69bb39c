// Package probe finds what is wired to a board: chips on I2C by address and id,
// 1-Wire sensors, what drivers of the kernel serve, SPI devices, GPIO lines and
// serial ports. It needs no config, and writes the one to paste.
//
// It must not upset what it does not know. So this is all that goes out on a
// bus:
//
//   - On each I2C bus, each address from 0x08 to 0x77 is read, one byte and without
//     writing a register before. Not asked are addresses that a driver of the kernel
//     or a running gateway uses, and whole buses that say that they are an SMBus
//     (those of PCs, where clock chips can hang by a read) unless they are named.
//   - Where somebody has answered, and a chip with an id could be that a driver is
//     for, the number of its id register is written and the id is read: one byte, in
//     one transaction. Not where a byte could move something: the addresses of
//     expanders (0x20 to 0x27, 0x38 to 0x3f), digital potentiometers (0x28 to 0x2f),
//     memories and their write protection (0x30 to 0x37, 0x50 to 0x5f), and
//     converters with an analog output (0x48 to 0x4f, 0x60 to 0x67).
//   - At 0x70 to 0x77 sits a BME280, or a multiplexer, which takes the number for
//     channels that are to be opened. It reads back what was written: then it gets
//     what it said before.
//   - Chips that are told apart by a command, not a register, do not answer when they
//     are just read: SHT3x, SHT4x, SCD4x. They are asked only with Options.Commands,
//     and only where nobody has answered, so that it can be no chip with outputs; not
//     at the addresses of memories. Some audio and LCD chips take what is written and
//     never answer.
//   - Serial ports are opened only with Options.Listen, and one of them with
//     Options.Modbus: then each unit is asked for its register 0, holding and input
//     (functions 3 and 4), which reads and changes nothing.
//
// A gateway that runs has its devices for itself: what it has must be given as
// Options.Claims, and is left alone. The read of one byte would take a measurement
// away from a driver that is waiting for it.
package probe
