package pipeline

import (
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway/dating"
)

// pack is a message that is being filled.
type pack struct {
	list     []byte // of readings, with a comma between them
	readings int
	// undated is how many of them lack the time of day.
	undated int
	// first is when its first reading came in.
	first time.Time
}

// size is the length of the body, as it may leave.
func (p *pack) size() int { return p.sizeWith(encoded{}) }

// sizeWith is size with one more reading.
func (p *pack) sizeWith(r encoded) int {
	size, undated := len(bodyHead)+len(bodyList)+len(p.list)+len(r.text)+len(bodyTail), p.undated
	if p.readings > 0 && len(r.text) > 0 {
		size += len(",")
	}
	if r.undated {
		undated++
	}
	if undated > 0 {
		size += dating.LabelRoom + undated*dating.TimeRoom
	}
	return size
}

func (p *pack) add(r encoded, now time.Time) {
	if p.readings == 0 {
		p.first = now
	} else {
		p.list = append(p.list, ',')
	}
	p.list = append(p.list, r.text...)
	p.readings++
	if r.undated {
		p.undated++
	}
}

// body is that of the complete message, with a label, if it needs one.
func (p *pack) body(label string) []byte {
	return slices.Concat([]byte(bodyHead+label+bodyList), p.list, []byte(bodyTail))
}
