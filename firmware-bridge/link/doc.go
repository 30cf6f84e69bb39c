// Package link is the gateway's side of the link to a microcontroller. Every byte
// of it is specified in firmware-bridge/SPEC.md, whose words are used here.
//
// A [Conn] lives on one stream of bytes, such as a serial port. It holds a session
// with the microcontroller, begins a new one when the microcontroller was reset, and
// fails when nobody answers any more or the stream ends: then its owner opens the
// port anew. What a gateway must remember from one Conn to the next is in [Memory].
//
// The stream may lose, change, insert and repeat bytes. Requests are repeated until
// they are answered, and actions are never carried out twice. Readings arrive in
// order; those that are lost for good are told as a [Gap].
package link
