// Package ingest takes readings from other programs on the board, over a Unix
// stream socket, one JSON object a line:
//
//	→ {"name":"level","value":3.2,"unit":"m"}
//	← {"id":"k3v9-telemetry-17"}
//	→ {"readings":[{"name":"level","value":3.3,"unit":"m"},{"name":"full","value":false}]}
//	← {"id":"k3v9-telemetry-18"}
//	→ {"nam":"level","value":3.4}
//	← {"error":"line 3: unknown key \"nam\"; want name, value, unit, time, device, quality"}
//
// Each line becomes a message of its own and is answered by exactly one line,
// in order. An id means that the message is on disk: it survives a power cut
// from then on. An error means that nothing of the line was accepted; the
// connection stays. A connection that ends before the answer leaves it open
// whether the line was accepted: send it again, or live without it.
//
// A line holds one reading, or up to 100 in "readings". A reading has
//
//	name     what is measured; letters, digits, dots, underscores, hyphens
//	value    a number, true, false, or a text of at most 16 KiB
//	unit     a UCUM code such as Cel, %, By, m/s; left out: none
//	time     RFC 3339; left out: now
//	device   what it belongs to, in the form of name; left out: the id of the
//	         ingest device in the config
//	quality  good, uncertain or bad; left out: good
//
// Lines may be sent without waiting for answers, and lines that are there
// together share a sync to disk: a program with much to say should do so, and
// must read the answers meanwhile. One that does not is cut off.
package ingest
