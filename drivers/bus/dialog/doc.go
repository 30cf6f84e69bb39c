// Package dialog talks to devices that speak in lines of text over a serial
// port: it cuts lines, sends what starts and what asks the device, and notices
// when it falls silent. What a line means is for the driver to say.
//
//	port ─ cutter → line ─ Decode → readings → sink
//
// A line ends with CR, LF, or both; empty lines are nothing. The first line
// after opening counts only if there was silence before it, since otherwise its
// beginning may be missing; so does the first after bytes were lost.
package dialog
