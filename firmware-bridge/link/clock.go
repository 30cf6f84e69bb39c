package link

import (
	"sync"
	"time"
)

// timeline turns uptimes of the microcontroller into times of the gateway, by the
// quickest of the last eight exchanges that told one.
type timeline struct {
	mu     sync.Mutex
	recent []sample
}

type sample struct {
	uptime    uint32 // ms
	at        time.Time
	roundTrip time.Duration
}

const samples = 8

// learn takes an exchange in: what was asked at sent was answered now.
func (l *timeline) learn(uptime uint32, sent time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	roundTrip := time.Since(sent)
	if len(l.recent) == samples {
		l.recent = l.recent[1:]
	}
	l.recent = append(l.recent, sample{uptime, sent.Add(roundTrip / 2), roundTrip})
	return roundTrip
}

// when is the time of an uptime within 24 days.
func (l *timeline) when(uptime uint32) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	best := l.recent[0]
	for _, s := range l.recent[1:] {
		if s.roundTrip < best.roundTrip {
			best = s
		}
	}
	return best.at.Add(time.Duration(int32(uptime-best.uptime)) * time.Millisecond)
}
