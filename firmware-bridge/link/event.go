package link

import "time"

// Event is what a microcontroller has told: [Began], [Readings], [Gap] or [Line].
type Event interface{ event() }

// Start is how a session relates to what was before.
type Start uint8

// How a session can begin, in the order in which it matters.
const (
	// Resumed: the microcontroller goes on in the gateway's own last session.
	Resumed Start = iota
	// Taken: another gateway, or this one before its start, was in session.
	Taken
	// Booted: the microcontroller was reset. What it held is lost.
	Booted
)

// Began says that a session has begun.
type Began struct {
	Hello
	Start Start
	// Session counts sessions, as Stats.Sessions does.
	Session uint64
	// Known says that there was a session before, so that Before means something:
	// the readings from this number on, of before the reset, are lost if they exist.
	Known  bool
	Before uint32
}

// After is b for somebody who was not told of the session before, which began thus.
func (b Began) After(untold Began) Began {
	if untold.Start != Resumed {
		b.Known, b.Before, b.Start = untold.Known, untold.Before, max(untold.Start, b.Start)
	}
	return b
}

// Readings are consecutive readings.
type Readings []Reading

// Reading is one reading.
type Reading struct {
	// Number counts readings from 0 since the microcontroller's reset.
	Number  uint32
	Channel uint8
	// Time is the gateway's, by way of the microcontroller's uptime.
	Time  time.Time
	Value Value
}

// Gap says that readings are lost for good.
type Gap struct {
	First, Last uint32
}

// Count is how many readings are lost.
func (g Gap) Count() uint32 { return g.Last - g.First + 1 }

// Line is a line of the microcontroller's log.
type Line struct {
	Level Level
	Time  time.Time
	Text  string
	// Lost is how many lines before it are lost.
	Lost uint16
}

func (Began) event()    {}
func (Readings) event() {}
func (Gap) event()      {}
func (Line) event()     {}
