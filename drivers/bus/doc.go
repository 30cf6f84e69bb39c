// Package bus opens what devices are wired to, by name: each bus has one owner
// and one lock, however many devices share it.
//
//	Set ─ I2C, Lines, Port, … ─→ the kernel, by periph and tarm/serial
//
// A transaction that does not come back is given up after the time of its bus,
// reported, and holds up nobody on another bus; on its own bus whatever is asked
// meanwhile fails at once, until the kernel gives it back. An I2C bus whose
// transactions keep timing out is reported, and freed in the ways of its config,
// when nothing else is under way there.
//
// Errors wrap gateway.ErrUnavailable if nobody answers (a device that is
// reported with it is closed and opened anew) and gateway.ErrTimeout if a
// transaction was given up.
package bus
