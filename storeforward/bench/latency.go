package main

import (
	"context"
	"time"
)

// milliseconds of a duration, with its fractions.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func microseconds(d time.Duration) float64 { return 1000 * milliseconds(d) }

// measureOpen is the time from the call of Open to the first append accepted.
func measureOpen(t *task) (figures, error) {
	bodies := (&fresh{kind: t.Body}).group(1)
	began := time.Now()
	q, err := openQueue(t.Engine, t.Dir)
	if err != nil {
		return nil, err
	}
	if err := q.append(bodies); err != nil {
		return nil, err
	}
	spent := time.Since(began)
	return figures{figOpen: milliseconds(spent)}, q.close()
}

const (
	// headOpens is how often the store is opened for its first message, and
	// headReads how often the oldest is asked for again.
	headOpens = 5
	headReads = 1000
)

// measureHead is how long the oldest message takes, when the store was just
// opened and when a link has been renewed.
func measureHead(t *task) (figures, error) {
	var first, again []float64
	for range headOpens {
		q, err := openQueue(t.Engine, t.Dir)
		if err != nil {
			return nil, err
		}
		for i := range headReads {
			began := time.Now()
			if _, err := q.head(context.Background()); err != nil {
				return nil, err
			}
			spent := microseconds(time.Since(began))
			if i == 0 {
				first = append(first, spent)
			} else {
				again = append(again, spent)
			}
		}
		if err := q.close(); err != nil {
			return nil, err
		}
	}
	return figures{figHeadFirst: median(first), figHead: median(again)}, nil
}

// stallRate is how many messages a second the producer of measureStall has.
const stallRate = 5000

// measureStall is the longest that an append took, of a producer that has a
// group of messages at fixed times, while a backlog is drained and its space
// reclaimed. raw has nothing to drain: it shows what the disk does by itself.
func measureStall(t *task) (figures, error) {
	a, err := openAppender(t.Engine, t.Dir)
	if err != nil {
		return nil, err
	}
	from, err := t.source()
	if err != nil {
		return nil, err
	}
	if _, err := appendAll(a, from, t.Messages, fillGroup); err != nil {
		return nil, err
	}
	stop, drained := make(chan struct{}), make(chan error, 1)
	accepted := make(chan int, t.Messages) // more than there will be groups
	if q, ok := a.(queue); ok {
		go func() { drained <- drainUntil(stop, q, t.Messages, accepted) }()
	} else {
		drained <- nil
	}
	longest, err := produce(a, from, t, accepted)
	close(stop)
	if failed := <-drained; err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	return figures{figStall: milliseconds(longest)}, a.close()
}

// produce appends as many messages again as the backlog has, in groups.
func produce(a appender, from source, t *task, accepted chan<- int) (longest time.Duration, err error) {
	tick := time.NewTicker(time.Second * time.Duration(t.Group) / stallRate)
	defer tick.Stop()
	for n := 0; n < t.Messages; n += t.Group {
		<-tick.C
		bodies := from.group(t.Group)
		began := time.Now()
		if err := a.append(bodies); err != nil {
			return 0, err
		}
		longest = max(longest, time.Since(began))
		accepted <- len(bodies)
	}
	return longest, nil
}

// drainUntil takes the backlog, then what is accepted, until stop is closed. The
// backlog goes at twice the rate of the producer, so that it lasts.
func drainUntil(stop <-chan struct{}, q queue, backlog int, accepted <-chan int) error {
	tick := time.NewTicker(time.Second * takeWindow / (2 * stallRate))
	defer tick.Stop()
	for waiting := backlog; ; {
		select {
		case <-stop:
			return nil
		case n := <-accepted:
			waiting += n
		case <-tick.C:
			n := min(takeWindow, waiting)
			if err := q.take(context.Background(), n); err != nil {
				return err
			}
			waiting -= n
		}
	}
}
