package main

import (
	"context"
	"runtime"
	"slices"
	"time"
)

// phase is what one process of a measurement does.
type phase func(*task) (figures, error)

// measures are all measurements; the phases of one share a directory.
var measures = map[string][]phase{
	"append":        {measureAppend},
	"drain":         {fill, measureDrain},
	"mixed":         {measureMixed},
	"wear":          {measureWear},
	"memory":        {measureFilling, measureDraining},
	"open, clean":   {fill, measureOpen},
	"open, kill -9": {fillAndDie, measureOpen},
	"head":          {fill, measureHead},
	"stall":         {measureStall},
}

// mayDie are the measurements in which a process kills itself.
var mayDie = map[string]bool{"open, kill -9": true}

// Figures, by their names in the table. The unit follows from the name.
const (
	figAppend     = "append"
	figDrain      = "drain"
	figDisk       = "disk after drain"
	figReserve    = "disk, set aside beside it"
	figMixed      = "mixed"
	figWritten    = "written by the process"
	figDevice     = "written to the device"
	figFillPeak   = "memory, peak of filling"
	figFillUsual  = "memory, filling"
	figIdle       = "memory, idle with backlog"
	figIdleBytes  = "written while idle"
	figOpenIdle   = "memory, opened with backlog"
	figDrainPeak  = "memory, peak of draining"
	figDrainUsual = "memory, draining"
	figOpen       = "open"
	figHeadFirst  = "head, first after open"
	figHead       = "head, again"
	figStall      = "longest stall"
)

var units = map[string]string{
	figAppend: "msgs/s", figDrain: "msgs/s", figMixed: "msgs/s",
	figDisk: "MB", figReserve: "MB", figWritten: "B/B", figDevice: "B/B", figIdleBytes: "B",
	figFillPeak: "MB", figFillUsual: "MB", figIdle: "MB", figOpenIdle: "MB", figDrainPeak: "MB", figDrainUsual: "MB",
	figOpen: "ms", figHeadFirst: "µs", figHead: "µs", figStall: "ms",
}

// figureOrder is that of the table, within a job.
var figureOrder = []string{
	figAppend, figDrain, figDisk, figReserve, figMixed, figWritten, figDevice,
	figFillUsual, figFillPeak, figIdle, figIdleBytes, figOpenIdle, figDrainUsual, figDrainPeak,
	figOpen, figHeadFirst, figHead, figStall,
}

// fillGroup is the size of the groups of a backlog.
const fillGroup = 256

// takeWindow is how many messages are under way to the receiver at once.
const takeWindow = 100

// appendAll appends n messages in groups and returns the time that took,
// without that of making the bodies.
func appendAll(a appender, from source, n, group int) (time.Duration, error) {
	var spent time.Duration
	for n > 0 {
		bodies := from.group(min(group, n))
		n -= len(bodies)
		began := time.Now()
		if err := a.append(bodies); err != nil {
			return 0, err
		}
		spent += time.Since(began)
	}
	return spent, nil
}

// takeAll takes and acknowledges n messages in windows.
func takeAll(q queue, n int) error {
	for n > 0 {
		window := min(takeWindow, n)
		if err := q.take(context.Background(), window); err != nil {
			return err
		}
		n -= window
	}
	return nil
}

// fill makes a backlog and leaves it in order.
func fill(t *task) (figures, error) {
	q, err := openQueue(t.Engine, t.Dir)
	if err != nil {
		return nil, err
	}
	from, err := t.source()
	if err != nil {
		return nil, err
	}
	if _, err := appendAll(q, from, t.Messages, t.Group); err != nil {
		return nil, err
	}
	return nil, q.close()
}

// fillAndDie makes a backlog and ends with the last append.
func fillAndDie(t *task) (figures, error) {
	q, err := openQueue(t.Engine, t.Dir)
	if err != nil {
		return nil, err
	}
	from, err := t.source()
	if err != nil {
		return nil, err
	}
	if _, err := appendAll(q, from, t.Messages, t.Group); err != nil {
		return nil, err
	}
	return nil, die()
}

func measureAppend(t *task) (figures, error) {
	a, err := openAppender(t.Engine, t.Dir)
	if err != nil {
		return nil, err
	}
	from, err := t.source()
	if err != nil {
		return nil, err
	}
	runtime.GC()
	spent, err := appendAll(a, from, t.Messages, t.Group)
	if err != nil {
		return nil, err
	}
	return figures{figAppend: float64(t.Messages) / spent.Seconds()}, a.close()
}

func measureDrain(t *task) (figures, error) {
	q, err := openQueue(t.Engine, t.Dir)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := takeAll(q, t.Messages); err != nil {
		return nil, err
	}
	spent := time.Since(began)
	time.Sleep(t.Rest)
	disk, reserve, err := allocatedMB(t.Dir)
	if err != nil {
		return nil, err
	}
	found := figures{figDrain: float64(t.Messages) / spent.Seconds(), figDisk: disk}
	if reserve > 0 {
		found[figReserve] = reserve
	}
	return found, q.close()
}

// measureMixed appends and drains at once until everything is through.
func measureMixed(t *task) (figures, error) {
	q, err := openQueue(t.Engine, t.Dir)
	if err != nil {
		return nil, err
	}
	from, err := t.source()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	appended := make(chan int, t.Messages/t.Group+1) // groups that were accepted
	failed := make(chan error, 1)
	go func() {
		defer close(appended)
		for n := t.Messages; n > 0; {
			bodies := from.group(min(t.Group, n))
			n -= len(bodies)
			if err := q.append(bodies); err != nil {
				failed <- err
				return
			}
			appended <- len(bodies)
		}
		failed <- nil
	}()
	for n := range appended {
		if err := q.take(context.Background(), n); err != nil {
			return nil, err
		}
	}
	if err := <-failed; err != nil {
		return nil, err
	}
	spent := time.Since(began)
	return figures{figMixed: float64(t.Messages) / spent.Seconds()}, q.close()
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}
