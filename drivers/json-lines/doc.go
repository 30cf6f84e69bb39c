// Package jsonlines reads devices that send a JSON object a line over a serial
// port:
//
//	{"id": 7, "air": {"temp": 21.5, "rh": 40}, "door": false, "relays": [true, false]}
//
// A member is named by its path: air.temp, relays.0. Which members become
// readings, and under which names, stands in the config; with take: all the
// others do too, under their paths. A member that is null or absent is no
// reading. Lines that are no JSON object, or hold something of another type than
// the config says, are counted and shown by the readings unmatched and
// unmatched.line.
package jsonlines
