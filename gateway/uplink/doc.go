// Package uplink sends the queue to an upstream and takes commands in.
//
// A [Sender] keeps one session open:
//
//	offline ──Connect──▶ online ──lost, or no PUBACK in time──▶ offline
//	   ▲                   │ renewal: drain, close
//	   └──── at once ──────┘
//
// Online, messages go out in the order in which [Store].Next gives them, up to
// a window in flight, and leave the store when their PUBACK has come. When a
// session ends, what was in flight is abandoned. The next one begins by
// rewinding the store and repeats the window, so that nothing is lost and
// nothing first arrives out of order.
//
// Offline, the pause between attempts grows with full jitter. Only a PUBACK
// resets it: hubs that throttle let a client connect and then close.
//
// # Sharing the line
//
// A [Meter] counts each byte on the socket for one [Purpose]. With
// Options.MaxRate, a bucket is filled at that rate and emptied by every byte
// that leaves. While it is in debt, or while 4 s worth of bytes have no PUBACK,
// a gate holds the lanes of telemetry back in the store. So no message waits in
// the hand of the Sender, and alerts, results, gap records, pings and PUBACKs
// have nothing before them but the few seconds of bytes that are in flight. A
// message goes as a whole: over any time, telemetry is kept to the rate, half a
// second of it and one message at most.
//
// A [Plan] bounds the bytes of a month:
//
//	free ──thin_at──▶ thinning ──monthly──▶ held
//	  ▲                  │                    │
//	  └──── the next month of the contract ───┘
//
// thinning: package pipeline sums numeric readings up before they are queued.
// held: the gate is closed. What else there is to send goes on.
package uplink
