// Package pipeline brings readings from the drivers to the queue.
//
// A [Poller] asks a [gateway.Sensor] at a steady pace; a [Runner] keeps a
// [gateway.Stream] running. Both stamp readings with what the driver left
// out, keep the state of their device, and hand on to a [Batcher], which
// packs readings into messages and appends these to the queue:
//
//	Sensor → Poller ─┐
//	                 ├→ Batcher → Queue
//	Stream → Runner ─┘
//
// A device is in one of four states:
//
//	starting → good ⇄ failing
//	             ⇅       ⇅
//	              stuck
//
// starting: nothing known yet. good: it delivers. failing: the last read, or
// run, ended with an error. stuck: a call into the driver has not come back
// although its time is over; nothing more is asked of the device until it does.
//
// Readings are the batcher's to keep until the queue has accepted them. It
// keeps a bounded amount; what goes beyond is lost, and counted and reported.
package pipeline
