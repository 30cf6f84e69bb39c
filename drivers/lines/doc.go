// Package lines reads devices that send lines of text over a serial port:
// scales, meters, weather stations, boards with a sketch that prints. Patterns
// say what is in a line:
//
//	match: '^T=(?P<temperature>[-0-9.]+) H=(?P<humidity>[0-9.]+)$'
//
// Each named group is a reading; a line is taken by the first pattern that it
// matches. Lines that no pattern matches, and groups whose text is not of their
// type, are counted and shown by the readings unmatched and unmatched.line.
//
// A device that must be asked is sent the text poll. A half line at the
// beginning, a line that is too long and one that lost bytes are never taken.
// Nothing else protects a line: anchor patterns with ^ and $, and let the device
// send a checksum if it can. The kernel drops a character with a wrong parity.
package lines
