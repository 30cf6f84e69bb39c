// Package pipeline brings readings from the drivers to the queue.
//
// A [Poller] asks a [gateway.Sensor] at a steady pace; a [Runner] keeps a
// [gateway.Stream] running. Both stamp readings with what the driver left
// out, keep the state of their device, have the readings processed by its
// [Chain], and hand on to a [Batcher], which packs readings into messages and
// appends these to the queue:
//
//	Sensor → Poller → Chain ─┐
//	                         ├→ Batcher → Queue
//	Stream → Runner → Chain ─┘
//
// A chain does in this order what a [Processing] says: calibrate and judge by
// the valid range, derive, and tell alerts, so that what is measured is true;
// then sum up windows, and hold back by deadband and rate limit what is no news.
// What a stream commits is only made true, since each reading was promised an
// id. Alerts are messages of their own, in their own lane, and so are events. Another Processing can be
// set while readings come: see [Poller.SetProcessing].
//
// A [Watcher] keeps the state of a device that gives no readings.
//
// A device is in one of six states:
//
//	           ┌─ good ────┐
//	starting ─→│  failing  │ any of the four
//	           │  absent   │ to any other
//	           └─ stuck ───┘
//
// and, from any of them and back to starting, disabled: a sensor is left alone by
// [Poller.SetPace].
//
// starting: nothing known yet. good: it delivers, or it is a stream that has
// run for a while; one that was given up for its silence must say something
// first. failing: the last read, or run, ended with an error. absent: that
// error was [gateway.ErrUnavailable], nobody is there to be asked; it is asked
// again each second, which costs nothing while what keeps it waits. stuck: a
// call into the driver has not come back although its time is over; nothing
// more is asked of the device until it does.
//
// Each change is one condition, and one line in the log; failures that only
// repeat are counted.
//
// While a data plan is near its end, a batcher thins: of each numeric quantity
// of a device it passes on, once per window, temperature.mean, temperature.min,
// temperature.max and temperature.count in place of the samples, dated like the
// last of them. Up to four samples in a window go as they came, since the
// summary would not be shorter. States (booleans and texts), alerts and what is
// handed over with [Batcher.Commit] are never thinned. The samples of a window
// are in memory until it closes: a power cut loses them.
//
// Readings are the batcher's to keep until the queue has accepted them. It
// keeps a bounded amount; what goes beyond is lost, and counted and reported.
package pipeline
