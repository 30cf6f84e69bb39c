package service

import (
	"time"

	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// moment is a time of this run as the clock would have told it, had it been as
// right as it is now. A board without a clock of its own starts with the time of
// its last shutdown, or with 1970: what began then would seem to last for as long
// as the power was off. t and now are of time.Now, with their monotonic parts; a time
// of another run has none, and stays as it is.
func moment(t, now time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	right := now.Add(-now.Sub(t)).Round(0) // Sub goes by the clock that is never corrected
	if right.Sub(t.Round(0)).Abs() < time.Second {
		return t // has been measured twice, nothing else
	}
	return right
}

// conditions are those that stand, since when they really do.
func (s *Service) conditions() []health.Condition {
	list, now := s.health.Conditions(), time.Now()
	for i := range list {
		list[i].Since = moment(list[i].Since, now)
	}
	return list
}

// sending is how a sender does, with its moments.
func sending(from *uplink.Sender) uplink.Stats {
	st, now := from.Stats(), time.Now()
	st.Since, st.LastPuback, st.NextAttempt = moment(st.Since, now), moment(st.LastPuback, now), moment(st.NextAttempt, now)
	return st
}
