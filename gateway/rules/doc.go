// Package rules makes commands and alerts of conditions and of the time of day, on
// the board itself, so that it works without a link.
//
// A rule is of one of two kinds. One with a state has when, between or both:
//
//	      when holds, within between        … for the time of for
//	off ──────────────────────────► pending ───────────────► on
//	 ▲ ◄──────────────────────────────┘                      │
//	 └───────────────────────────────────────────────────────┘
//	      until holds and when does not; or when does not, if there
//	      is no until; or between is over
//
// As it goes on, do is carried out, and its alert begins; as it goes off,
// otherwise, and the alert ends. What it has come to is also carried out once
// after a start or a silence, when the condition is first known, since the
// outputs have been made safe meanwhile; an alert is not told again. The other
// kind has at or every: do is carried out at moments.
//
// # What is not known
//
// A condition is unknown while a quantity in it has not come, is bad, or is older
// than max_age; a time of day, while the clock is not trusted, and one of the sun,
// while the position is not known, too. Then nothing begins and nothing ends. When
// that has lasted for max_age, the rule is silent: if it has moved a device, that
// is taken to its safe state (if_silent says otherwise).
//
// # Time
//
// A time of day has one moment on each day, however clocks are changed: see
// date.at. It belongs to a date of the calendar, and each date is done once, so
// that no step of the clock has it done twice. What lies back further than
// catch_up when it is found to be due is missed: that is logged and counted, and
// several that were missed are never done one after the other.
//
// # Commands
//
// They enter where all others do, with the origin rule, and so are judged,
// journalled and reported like them. One that was denied, or has failed and may be
// repeated, is tried again after 10 s, 20 s, and so on up to 5 minutes, for as long
// as the rule wants it; one of a moment until catch_up is over. Its id is made of
// the rule and the moment, so that one that a kill has cut short is not carried
// out twice.
//
// A rule that begins more than max_per_minute times within a minute, for example
// since two rules undo each other, is suspended for ten minutes.
package rules
