package main

import (
	"time"
)

// measureFilling makes each body when it is needed, as a gateway does, so that
// what the process holds is the engine's, and some 8 MB of its own.
func measureFilling(t *task) (figures, error) {
	q, err := openQueue(t.Engine, t.Dir)
	if err != nil {
		return nil, err
	}
	usual := watch()
	if _, err := appendAll(q, &fresh{kind: t.Body}, t.Messages, t.Group); err != nil {
		return nil, err
	}
	found := figures{figFillUsual: usual()}
	if found[figFillPeak], err = residentMB("VmHWM"); err != nil {
		return nil, err
	}
	if err := t.idle(found); err != nil {
		return nil, err
	}
	return found, q.close()
}

// idle lets the process come to rest, and then looks at what it holds, and at
// what it writes in the time after that.
func (t *task) idle(found figures) error {
	time.Sleep(t.Rest + t.Rest/4)
	before, err := writtenBytes()
	if err != nil {
		return err
	}
	time.Sleep(t.Rest)
	after, err := writtenBytes()
	if err != nil {
		return err
	}
	found[figIdleBytes] = float64(after - before)
	found[figIdle], err = residentMB("VmRSS")
	return err
}

func measureDraining(t *task) (figures, error) {
	q, err := openQueue(t.Engine, t.Dir)
	if err != nil {
		return nil, err
	}
	found := make(figures)
	if found[figOpenIdle], err = residentMB("VmRSS"); err != nil {
		return nil, err
	}
	usual := watch()
	if err := takeAll(q, t.Messages); err != nil {
		return nil, err
	}
	found[figDrainUsual] = usual()
	if found[figDrainPeak], err = residentMB("VmHWM"); err != nil {
		return nil, err
	}
	return found, q.close()
}
