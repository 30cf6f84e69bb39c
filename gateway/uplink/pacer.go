package uplink

import "time"

const (
	// burst is how much of a pause can be made up for.
	burst = 500 * time.Millisecond
	// leastPause keeps high rates from pausing at each message.
	leastPause = 10 * time.Millisecond
)

// pacer keeps the bytes that leave below a rate: a bucket that fills at the
// rate and is emptied by each byte on the socket, whatever it is for. A message
// goes when the bucket is not empty and may leave it in debt, so that its size
// need not be known before. One goroutine at a time uses a pacer.
type pacer struct {
	rate  float64 // bytes per second
	meter *Meter

	level float64 // bytes; below zero is debt
	seen  time.Time
	spent int64 // bytes that level knows of
	// handed are the bytes of messages handed to the session, of which the
	// socket has written what the meter has counted above base.
	handed, base uint64
}

func newPacer(rate int64, m *Meter) *pacer {
	p := &pacer{rate: float64(rate), meter: m, seen: time.Now()}
	p.begin()
	return p
}

// begin forgets what a session before this one has not written.
func (p *pacer) begin() {
	p.handed = 0
	_, p.base = p.meter.written()
}

// pause is how long the bucket stays empty; 0 if it is not.
func (p *pacer) pause() time.Duration {
	now := time.Now()
	p.level = min(p.level+p.rate*now.Sub(p.seen).Seconds(), p.rate*burst.Seconds())
	p.seen = now
	spent := p.outgo()
	p.level -= float64(spent - p.spent)
	p.spent = spent
	if p.level >= 0 {
		return 0
	}
	return max(time.Duration(-p.level/p.rate*float64(time.Second)), leastPause)
}

// outgo is all bytes written, and those that are on their way to the socket.
func (p *pacer) outgo() int64 {
	all, messages := p.meter.written()
	messages -= p.base
	return int64(all + p.handed - min(p.handed, messages))
}
