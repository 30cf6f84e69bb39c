package audit

import "github.com/fieldpost/fieldpost/gateway"

// Holding is what a gateway has of one lane.
type Holding struct {
	Store string       `json:"store"`
	Lane  gateway.Lane `json:"lane"`
	// Next is the sequence number of the next message to be accepted: all below
	// it have been.
	Next uint64 `json:"next"`
	// Final: the gateway did not run, so that it has accepted nothing since.
	Final bool `json:"final,omitempty"`
	// Waiting are the numbers in the queue.
	Waiting Ranges `json:"waiting,omitempty"`
	// Gaps explain numbers of this lane or of others, and the receiver may not
	// have heard of them yet.
	Gaps []gateway.Gap `json:"gaps,omitempty"`
}
