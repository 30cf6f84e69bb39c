package hubsim

import (
	"net/http"
	"sync"
	"time"
)

// The limits that a real hub has by its tier. Zero is none. The daily count
// begins anew at 00:00 UTC, and when the hub is started.
//
// Source: Microsoft, "IoT Hub quotas and throttling", and reports of users for
// what devices see of it.

const (
	// meterBytes is a message as the hub counts them: a longer one is several.
	meterBytes = 4 << 10
	// maxShaping is how much a hub holds PUBACKs back before it closes the
	// connection.
	maxShaping = 5 * time.Second
)

// quota counts the messages of a day.
type quota struct {
	mu   sync.Mutex
	day  string
	used int
}

// take counts a message, and reports whether it was within the limit.
func (q *quota) take(now time.Time, bytes, limit int) bool {
	if limit == 0 {
		return true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if today := now.UTC().Format(time.DateOnly); q.day != today {
		q.day, q.used = today, 0
	}
	n := max(1, (bytes+meterBytes-1)/meterBytes)
	if q.used+n > limit {
		return false
	}
	q.used += n
	return true
}

// pace shapes the traffic of all devices together to so many messages a
// second, after a burst of one second.
type pace struct {
	mu   sync.Mutex
	free time.Time // when all that was sent is worked off
}

// take counts a message and returns how long its PUBACK is held back.
func (p *pace) take(now time.Time, perSecond int) time.Duration {
	if perSecond == 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free.Before(now) {
		p.free = now
	}
	late := p.free.Add(-time.Second).Sub(now)
	if late > maxShaping { // it will not be taken
		return late
	}
	p.free = p.free.Add(time.Second / time.Duration(perSecond))
	return max(0, late)
}

// checkQuota counts what a back end wants for a device, and refuses what is
// over the limit of the day.
func (h *Hub) checkQuota(device string, bytes int) error {
	detail := "the messages of the day are used up"
	if h.faults.take(device, faultQuota).Kind != "" {
		detail = "fault injected: " + detail
	} else if h.quota.take(time.Now(), bytes, h.options.DailyMessages) {
		return nil
	}
	return &httpError{status: http.StatusForbidden, code: "IotHubQuotaExceeded", detail: detail}
}

// within holds the limits against a message of a device: its PUBACK comes
// later, or the connection is closed.
func (c *conn) within(bytes int) bool {
	h := c.hub
	if !h.quota.take(time.Now(), bytes, h.options.DailyMessages) {
		c.stop("the messages of the day are used up", "limit", h.options.DailyMessages)
		return false
	}
	late := h.pace.take(time.Now(), h.options.SendsPerSecond)
	if late > maxShaping {
		c.stop("too many messages a second, for too long", "limit", h.options.SendsPerSecond)
		return false
	}
	if late > 0 {
		_ = c.wire.flush() // a dead connection shows at the next read
		c.pause(late)
	}
	return true
}
