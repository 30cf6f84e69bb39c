package main

import "time"

const (
	ackEvery = time.Second
	ackMost  = 4096
)

// acks puts acknowledgements off, for the engines that do not do so
// themselves: each write of them costs a sync or more, and the queue that they
// are compared with may be a second late too.
type acks struct {
	pending int
	last    time.Time
}

// add counts n messages and reports whether it is time to write them.
func (a *acks) add(n int) bool {
	if a.pending == 0 && a.last.IsZero() {
		a.last = time.Now()
	}
	a.pending += n
	if a.pending < ackMost && time.Since(a.last) < ackEvery {
		return false
	}
	a.pending, a.last = 0, time.Now()
	return true
}
