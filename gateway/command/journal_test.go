package command_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/fieldpost/fieldpost/gateway"
)

var errCrash = errors.New("the power is gone")

// disk is a store in memory: the table of a journal and the messages of a
// queue, written together. It outlives the dispatchers that a test runs on it.
//
// Each write, and each moment that a device marks, is a numbered step. At step
// crashAt the power fails: before the write or, if crashLate, right after it,
// with nobody left to be told. After that nothing works until power returns.
type disk struct {
	mu       sync.Mutex
	entries  []*gateway.Entry
	messages []gateway.Message
	seq      uint64

	step      int
	crashAt   int
	crashLate bool
	dead      bool
	onCrash   func()
	// fault fails an operation on the disk, without a crash.
	fault func(op string) error
}

// power brings the disk back; at step crashAt (0: never) it fails again.
func (d *disk) power(crashAt int, late bool, onCrash func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.step, d.dead, d.crashAt, d.crashLate, d.onCrash = 0, false, crashAt, late, onCrash
}

// mark is a step outside the disk.
func (d *disk) mark() error {
	return d.write(context.Background(), "mark", func() error { return nil })
}

func (d *disk) write(ctx context.Context, op string, change func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errCrash
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.fault != nil {
		if err := d.fault(op); err != nil {
			return err
		}
	}
	d.step++
	if d.step != d.crashAt {
		return change()
	}
	d.dead = true
	d.onCrash()
	if d.crashLate {
		_ = change()
	}
	return errCrash
}

func (d *disk) find(id string) *gateway.Entry {
	i := slices.IndexFunc(d.entries, func(e *gateway.Entry) bool { return e.Command.ID == id })
	if i < 0 {
		return nil
	}
	return d.entries[i]
}

// read gives an entry as it comes back from disk.
func read(e *gateway.Entry) (out gateway.Entry) {
	data, err := json.Marshal(e)
	if err != nil {
		panic(err) // what cannot be read back should not have been written
	}
	if err := json.Unmarshal(data, &out); err != nil {
		panic(err)
	}
	return out
}

func (d *disk) Begin(ctx context.Context, cmd gateway.Command) (entry gateway.Entry, first bool, err error) {
	d.mu.Lock()
	old := d.find(cmd.ID)
	dead := d.dead
	d.mu.Unlock()
	if old != nil && !dead {
		return read(old), false, nil
	}
	err = d.write(ctx, "begin", func() error {
		d.entries = append(d.entries, &gateway.Entry{Command: cmd})
		return nil
	})
	return gateway.Entry{Command: cmd}, err == nil, err
}

func (d *disk) Start(ctx context.Context, id string) error {
	return d.write(ctx, "start", func() error { return d.update(id, func(e *gateway.Entry) { e.Started = true }) })
}

func (d *disk) Finish(ctx context.Context, result gateway.Result, out ...gateway.Message) error {
	return d.write(ctx, "finish", func() error {
		d.append(out)
		return d.update(result.CommandID, func(e *gateway.Entry) {
			if e.Result != nil {
				panic("a second final state for " + result.CommandID)
			}
			e.Result = &result
		})
	})
}

func (d *disk) update(id string, change func(*gateway.Entry)) error {
	e := d.find(id)
	if e == nil {
		return fmt.Errorf("command %s is not in the journal", id)
	}
	change(e)
	read(e)
	return nil
}

func (d *disk) Entry(_ context.Context, id string) (entry gateway.Entry, found bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return gateway.Entry{}, false, errCrash
	}
	if d.fault != nil {
		if err := d.fault("entry"); err != nil {
			return gateway.Entry{}, false, err
		}
	}
	if e := d.find(id); e != nil {
		return read(e), true, nil
	}
	return gateway.Entry{}, false, nil
}

func (d *disk) Pending(_ context.Context, visit func(gateway.Entry)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fault != nil {
		if err := d.fault("pending"); err != nil {
			return err
		}
	}
	for _, e := range d.entries {
		if e.Result == nil {
			visit(read(e))
		}
	}
	return nil
}

func (d *disk) Append(ctx context.Context, msgs ...gateway.Message) ([]gateway.MessageID, error) {
	var ids []gateway.MessageID
	err := d.write(ctx, "append", func() error {
		ids = d.append(msgs)
		return nil
	})
	return ids, err
}

func (d *disk) append(msgs []gateway.Message) (ids []gateway.MessageID) {
	for _, m := range msgs {
		d.seq++
		m.ID.Store, m.ID.Seq = "test", d.seq
		d.messages = append(d.messages, m)
		ids = append(ids, m.ID)
	}
	return ids
}

// setFault makes operations fail, or no more.
func (d *disk) setFault(f func(op string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

// held is what the journal holds of a command; nil if nothing.
func (d *disk) held(id string) *gateway.Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.find(id)
	if e == nil {
		return nil
	}
	out := read(e)
	return &out
}

// results are the bodies of the result messages, oldest first.
func (d *disk) results() (list []gateway.Result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.messages {
		if m.Kind != gateway.KindResult {
			continue
		}
		var r gateway.Result
		if err := json.Unmarshal(m.Body, &r); err != nil {
			panic(err)
		}
		list = append(list, r)
	}
	return list
}
