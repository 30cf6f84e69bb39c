// Package audit proves from what a receiver has stored that nothing is missing.
//
// A message of the gateway carries store, lane and a sequence number that is
// contiguous in its lane, and every number that is given up is explained by a
// gap record. So whoever holds all messages can judge by themselves: each hole
// in a lane must be explained. With a [Holding] of each lane, what the gateway
// itself still has, the ends are judged too: all that was accepted has been
// delivered, waits in the queue, or is explained.
//
// An [Auditor] reads a line at a time and keeps ranges, not messages; lines may
// come in any order and any number of times.
package audit
