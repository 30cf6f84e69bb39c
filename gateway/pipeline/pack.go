package pipeline

import "time"

// pack is a message that is being filled.
type pack struct {
	body     []byte
	readings int
	// first is when its first reading came in.
	first time.Time
}

// size is the length of the body with n more bytes of reading in it.
func (p *pack) size(n int) int {
	if p.readings == 0 {
		return len(bodyHead) + n + len(bodyTail)
	}
	return len(p.body) + len(",") + n + len(bodyTail)
}

func (p *pack) add(reading []byte, now time.Time) {
	if p.readings == 0 {
		p.first = now
		p.body = append(p.body, bodyHead...)
	} else {
		p.body = append(p.body, ',')
	}
	p.body = append(p.body, reading...)
	p.readings++
}

// close completes the body.
func (p *pack) close() []byte { return append(p.body, bodyTail...) }
