package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// callTime bounds one call that carries no part of a file.
const callTime = time.Minute

// attempt is one try at one upload.
type attempt struct {
	u       *Uploader
	j       *job
	record  record // as it is on disk
	fresh   bool   // the ticket is of this attempt
	session Session
	beat    func()
	// outer ends with Run; a cancel of the upload ends the contexts below it.
	outer context.Context
}

// attempt does for an upload what is left to do.
func (u *Uploader) attempt(ctx context.Context, j *job, beat func()) error {
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	u.mu.Lock()
	a := &attempt{u: u, j: j, record: j.record, beat: beat, outer: ctx}
	j.cancel = cancel
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		j.cancel = nil
		u.mu.Unlock()
	}()
	session, err := u.open(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	a.session = session
	if a.record.Outcome == nil {
		if err := a.deliver(work); err != nil {
			return err
		}
	}
	return a.report()
}

func (u *Uploader) open(ctx context.Context) (Session, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return u.way().Cloud.Open(ctx)
}

// step writes down a change of the record. If the upload was canceled
// meanwhile, that stands beside it.
func (a *attempt) step(change func(*record)) error {
	a.u.mu.Lock()
	defer a.u.mu.Unlock()
	r := a.j.record
	change(&r)
	if err := a.u.dir.save(r); err != nil {
		return err
	}
	a.j.record, a.record = r, r
	return nil
}

// deliver brings the file into the storage, or finds that it will never get
// there.
func (a *attempt) deliver(ctx context.Context) error {
	err := a.store(ctx)
	if errors.Is(err, ErrTicket) && a.record.Ticket != nil {
		a.giveBack(*a.record.Ticket, err)
		if err = a.step(func(r *record) { r.Ticket = nil }); err == nil {
			err = a.store(ctx)
		}
	}
	a.u.mu.Lock()
	defer a.u.mu.Unlock()
	switch {
	case a.j.Outcome != nil: // canceled meanwhile
		err = nil
	case err == nil:
		err = a.u.conclude(a.j, Reporting, Outcome{OK: true, Status: http.StatusCreated, Detail: ""})
	case refused(err):
		err = a.u.conclude(a.j, Failed, Outcome{Status: http.StatusBadRequest, Detail: err.Error()})
	}
	a.record = a.j.record
	return err
}

// giveBack tells the hub that a ticket is not needed any more; it would find
// out by itself.
func (a *attempt) giveBack(t Ticket, why error) {
	ctx, cancel := context.WithTimeout(a.outer, callTime)
	defer cancel()
	if err := a.session.Report(ctx, t, Outcome{Status: -1, Detail: why.Error()}); err != nil {
		a.u.log.Debug("an old upload could not be ended", "upload", a.record.ID, "error", err)
	}
}

// store asks for a ticket if there is none, and sends what the storage misses.
func (a *attempt) store(ctx context.Context) error {
	if a.record.Ticket == nil {
		if err := a.begin(ctx); err != nil {
			return err
		}
	}
	a.u.show(a.j, func(up *Upload) { up.State, up.Detail = Sending, "" })
	file, err := os.Open(a.u.dir.path(a.record.ID, ".data"))
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	err = a.send(ctx, file)
	if errors.Is(err, ErrBlocks) { // once more, by the list of the storage
		err = a.send(ctx, file)
	}
	return err
}

func (a *attempt) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	t, err := a.session.Begin(ctx, a.record.Name)
	if err != nil {
		return err
	}
	a.fresh = true
	if err = a.step(func(r *record) { r.Ticket, r.Blob = &t, t.Blob }); err != nil {
		a.giveBack(t, err) // there are not many, and nobody would know of it
	}
	return err
}

// send sends the blocks that are not there, and makes a file of them.
func (a *attempt) send(ctx context.Context, file *os.File) error {
	there := map[string]int64{}
	if a.record.Resumed {
		err := a.call(ctx, func(ctx context.Context) (err error) {
			there, err = a.session.Blocks(ctx, *a.record.Ticket)
			return err
		})
		if errors.Is(err, ErrTicket) && a.fresh {
			err = nil // it may write and not read: all is sent again
		}
		if err != nil {
			return err
		}
	} else if err := a.step(func(r *record) { r.Resumed = true }); err != nil {
		return err
	}
	ids := make([]string, 0, a.record.blocks())
	sent := int64(0)
	for i := range a.record.blocks() {
		id, offset, size := a.record.block(i)
		ids = append(ids, id)
		if has, ok := there[id]; !ok || has != size {
			if err := a.put(ctx, file, id, offset, size, sent); err != nil {
				return err
			}
		}
		sent += size
		a.u.show(a.j, func(up *Upload) { up.Sent = sent })
	}
	content := Content{Type: a.record.ContentType, MD5: a.record.MD5}
	return a.call(ctx, func(ctx context.Context) error { return a.session.Commit(ctx, *a.record.Ticket, ids, content) })
}

func (a *attempt) call(ctx context.Context, do func(context.Context) error) error {
	a.beat()
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return do(ctx)
}

// put sends one block. It has as long as it takes, as long as it gets on.
func (a *attempt) put(ctx context.Context, file io.ReaderAt, id string, offset, size, before int64) error {
	if held := a.u.opts.Held; held != nil {
		if why := held(); why != "" {
			return fmt.Errorf("%s: %w", why, uplink.ErrNotReady)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(a.u.opts.Stall, func() { cancel(errStalled) })
	defer stall.Stop()
	body := &flow{
		ctx: ctx, from: io.NewSectionReader(file, offset, size), pace: a.u.way().Pace,
		passed: func(n int64) {
			stall.Reset(a.u.opts.Stall)
			a.beat()
			a.u.show(a.j, func(up *Upload) { up.Sent = before + n })
		},
	}
	err := a.session.Put(ctx, *a.record.Ticket, id, body, size)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errStalled) {
		return fmt.Errorf("nothing has moved for %v: %w", a.u.opts.Stall, err)
	}
	if err == nil {
		a.u.show(a.j, func(up *Upload) { up.Failures = 0 })
	}
	return err
}

var errStalled = errors.New("stalled")

// report tells the hub how it went; with that the upload is over.
func (a *attempt) report() error {
	if a.record.Ticket != nil {
		err := a.call(a.outer, func(ctx context.Context) error { return a.session.Report(ctx, *a.record.Ticket, *a.record.Outcome) })
		switch {
		case refused(err): // it has been told before, or has given the place to another one
			a.u.log.Warn("the hub does not want to know how an upload went", "upload", a.record.ID, "error", err)
		case err != nil:
			return err
		}
	}
	a.u.mu.Lock()
	defer a.u.mu.Unlock()
	r := a.j.record
	r.Ticket, r.Failures = nil, 0
	if !r.State.Final() {
		r.State, r.Detail, r.Finished = Done, "", a.u.opts.Clock.Now().UTC()
	}
	if err := a.u.dir.save(r); err != nil {
		return err
	}
	fresh := !a.j.State.Final()
	a.j.record = r
	if fresh {
		close(a.j.over)
		a.u.log.Info("upload done", "upload", r.ID, "name", r.Name, "blob", r.Blob, "bytes", r.Bytes)
	}
	a.u.forget()
	return nil
}
