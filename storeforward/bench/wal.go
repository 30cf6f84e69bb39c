package main

import (
	"context"
	"path/filepath"
	"sync/atomic"

	"github.com/tidwall/wal"
)

// walSegment is as much as the store's own unit of reclaim: truncating copies
// what is left of a segment.
const walSegment = 4 << 20

// walQueue is github.com/tidwall/wal: a group is one batch and one sync, and
// acknowledging truncates the front.
type walQueue struct {
	log   *wal.Log
	batch wal.Batch
	acks  acks
	last  atomic.Uint64 // index of the newest entry
	taken uint64        // index of the newest entry taken
}

func openWAL(dir string) (*walQueue, error) {
	o := *wal.DefaultOptions
	o.SegmentSize, o.AllowEmpty = walSegment, true
	log, err := wal.Open(filepath.Join(dir, "wal"), &o)
	if err != nil {
		return nil, err
	}
	first, err := log.FirstIndex()
	if err != nil {
		return nil, err
	}
	last, err := log.LastIndex()
	if err != nil {
		return nil, err
	}
	w := &walQueue{log: log, taken: max(first, 1) - 1}
	w.last.Store(last)
	return w, nil
}

func (w *walQueue) append(bodies [][]byte) error {
	w.batch.Clear()
	last := w.last.Load()
	for _, b := range bodies {
		last++
		w.batch.Write(last, b)
	}
	if err := w.log.WriteBatch(&w.batch); err != nil { // which syncs
		return err
	}
	w.last.Store(last)
	return nil
}

func (w *walQueue) take(_ context.Context, n int) error {
	for range n {
		if _, err := w.log.Read(w.taken + 1); err != nil {
			return err
		}
		w.taken++
	}
	if !w.acks.add(n) {
		return nil
	}
	return w.truncate()
}

func (w *walQueue) truncate() error { return w.log.TruncateFront(w.taken + 1) }

func (w *walQueue) head(context.Context) ([]byte, error) {
	first, err := w.log.FirstIndex()
	if err != nil {
		return nil, err
	}
	return w.log.Read(max(first, w.taken+1))
}

func (w *walQueue) close() error {
	if err := w.truncate(); err != nil {
		return err
	}
	return w.log.Close()
}
