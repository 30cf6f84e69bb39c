// Package linktest is the far side of the link for tests: a line that loses,
// changes, inserts and repeats bytes ([Pipe]), and a microcontroller that does what
// firmware-bridge/SPEC.md says ([MCU]), with a loader and a flash memory, and with
// the accidents that happen to it.
package linktest
