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
// session ends, what was in flight is abandoned and the store rewound: the
// next session repeats the window, so that nothing is lost and nothing first
// arrives out of order.
//
// Offline, the pause between attempts grows with full jitter. Only a PUBACK
// resets it: hubs that throttle let a client connect and then close.
package uplink
