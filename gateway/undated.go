package gateway

import "time"

// uptimeEpoch is what times count from while nobody knows the time of day. It is
// earlier than anything that a sensor, a program or a broken clock dates.
var uptimeEpoch = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)

// maxUptime bounds how long a board may be up, and how long before its start
// something can have happened.
const maxUptime = 20 * 365 * 24 * time.Hour

// Undated is the time of what happens before anybody knows the time of day: the
// uptime of the board, counted from 1900. Such times can be compared within a boot, are
// before all others, and become times of day once it is known when the board was
// started: see package dating.
func Undated(uptime time.Duration) time.Time { return uptimeEpoch.Add(uptime) }

// Uptime is what a time counts, if it is undated. It is negative for what happened
// before the board was started.
func Uptime(t time.Time) (uptime time.Duration, undated bool) {
	uptime = t.Sub(uptimeEpoch)
	return uptime, uptime.Abs() < maxUptime
}
