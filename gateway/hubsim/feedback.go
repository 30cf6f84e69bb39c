package hubsim

import (
	"slices"
	"time"
)

const (
	// maxFeedbackBatch is how many records a back end gets at once.
	maxFeedbackBatch = 64
	// feedbackTTL is how long a record waits to be read.
	feedbackTTL = time.Hour
)

// The outcomes of a command that feedback knows. Rejections and too many
// deliveries are not among them: over MQTT a device cannot reject.
const (
	outcomeSuccess = "Success"
	outcomeExpired = "Expired"
	outcomePurged  = "Purged"
)

// feedback is what became of a command, for the back end that has asked.
type feedback struct {
	Number     int64     `json:"number"` // of the command
	ID         string    `json:"id"`     // of the command, as its sender has named it
	Device     string    `json:"device"`
	Generation string    `json:"generation"`
	Outcome    string    `json:"outcome"`
	Time       time.Time `json:"time"` // of the outcome
}

// wantsFeedback reports whether the sender of a command wants to hear of an
// outcome. ack is its iothub-ack.
func wantsFeedback(ack, outcome string) bool {
	switch ack {
	case "full":
		return true
	case "positive":
		return outcome == outcomeSuccess
	case "negative":
		return outcome != outcomeSuccess
	}
	return false
}

// end commits that a command has ended, with the feedback that it causes. The
// caller holds the mutex.
func (s *state) end(d *device, c *command, ended, outcome string, deliveries int) error {
	last := &step{Device: c.Device, Number: c.Number, State: ended, Deliveries: deliveries}
	if wantsFeedback(c.Ack, outcome) {
		last.Feedback = &feedback{c.Number, c.ID, c.Device, d.GenerationID, outcome, time.Now().UTC()}
	}
	return s.commit(change{Step: last})
}

// feedbackLock is a batch that a back end has, and has neither taken nor given
// back.
type feedbackLock struct {
	token   string
	numbers []int64
	until   time.Time
}

// feedbackBatch hands out the oldest records that nobody else has, with a lock
// of a minute. There may be none.
func (s *state) feedbackBatch() (lock string, batch []feedback, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, d := range s.sorted() {
		if err := s.expire(d, now); err != nil {
			return "", nil, err
		}
	}
	if err := s.forgetFeedback(now); err != nil {
		return "", nil, err
	}
	s.locks = slices.DeleteFunc(s.locks, func(l feedbackLock) bool { return now.After(l.until) })
	held := func(number int64) bool {
		return slices.ContainsFunc(s.locks, func(l feedbackLock) bool { return slices.Contains(l.numbers, number) })
	}
	l := feedbackLock{token: randomHex(16), until: now.Add(notificationLock)}
	for _, f := range s.feedback {
		if len(batch) < maxFeedbackBatch && !held(f.Number) {
			batch, l.numbers = append(batch, *f), append(l.numbers, f.Number)
		}
	}
	if len(batch) > 0 {
		s.locks = append(s.locks, l)
	}
	return l.token, batch, nil
}

// forgetFeedback drops what nobody has read in time. The mutex is held.
func (s *state) forgetFeedback(now time.Time) error {
	var old []int64
	for _, f := range s.feedback {
		if now.Sub(f.Time) > feedbackTTL {
			old = append(old, f.Number)
		}
	}
	if len(old) == 0 {
		return nil
	}
	return s.commit(change{FeedbackTaken: old})
}

// unlockFeedback ends the reading of a batch: taken, or given back.
func (s *state) unlockFeedback(token string, taken bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	i := slices.IndexFunc(s.locks, func(l feedbackLock) bool { return l.token == token && now.Before(l.until) })
	if i < 0 {
		return errNoLock
	}
	l := s.locks[i]
	s.locks = slices.Delete(s.locks, i, i+1)
	if !taken {
		return nil
	}
	return s.commit(change{FeedbackTaken: l.numbers})
}

// purge dead-letters what waits for a device, and returns how many those were.
func (s *state) purge(id string) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.devices[id]
	if !ok {
		return 0, errNoDevice
	}
	if err := s.expire(d, time.Now()); err != nil {
		return 0, err
	}
	for _, c := range slices.Clone(d.commands) {
		if c.State != stateQueued {
			continue
		}
		if err := s.end(d, c, stateDeadLettered, outcomePurged, c.Deliveries); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
