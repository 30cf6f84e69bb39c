package main

import (
	"context"
	"encoding/binary"
	"errors"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

var boltBucket = []byte("telemetry")

// boltQueue is go.etcd.io/bbolt: a group is one transaction, with a key for
// each message; acknowledging deletes the keys.
type boltQueue struct {
	db    *bbolt.DB
	acks  acks
	next  uint64 // number of the next message; the producer's alone
	taken uint64 // number of the newest message taken; the consumer's alone
}

func openBolt(dir string) (*boltQueue, error) {
	db, err := bbolt.Open(filepath.Join(dir, "bolt"), 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		return nil, err
	}
	b := &boltQueue{db: db, next: 1}
	err = db.Update(func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists(boltBucket)
		if err != nil {
			return err
		}
		bucket.FillPercent = 1
		if first, _ := bucket.Cursor().First(); first != nil {
			b.taken = binary.BigEndian.Uint64(first) - 1
		}
		if last, _ := bucket.Cursor().Last(); last != nil {
			b.next = binary.BigEndian.Uint64(last) + 1
		}
		return nil
	})
	return b, err
}

func boltKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func (b *boltQueue) append(bodies [][]byte) error {
	err := b.db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(boltBucket)
		bucket.FillPercent = 1 // keys only ever come at the end
		for i, body := range bodies {
			if err := bucket.Put(boltKey(b.next+uint64(i)), body); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.next += uint64(len(bodies))
	return nil
}

var errBoltShort = errors.New("bbolt: fewer messages than were appended")

func (b *boltQueue) take(_ context.Context, n int) error {
	err := b.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(boltBucket).Cursor()
		k, v := c.Seek(boltKey(b.taken + 1))
		for range n {
			if k == nil {
				return errBoltShort
			}
			_ = append([]byte(nil), v...) // as it is sent after the transaction
			b.taken = binary.BigEndian.Uint64(k)
			k, v = c.Next()
		}
		return nil
	})
	if err != nil || !b.acks.add(n) {
		return err
	}
	return b.deleteTaken()
}

func (b *boltQueue) deleteTaken() error {
	return b.db.Update(func(tx *bbolt.Tx) error {
		c := tx.Bucket(boltBucket).Cursor()
		for k, _ := c.First(); k != nil && binary.BigEndian.Uint64(k) <= b.taken; k, _ = c.First() {
			if err := c.Delete(); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *boltQueue) head(context.Context) (body []byte, err error) {
	err = b.db.View(func(tx *bbolt.Tx) error {
		_, v := tx.Bucket(boltBucket).Cursor().Seek(boltKey(b.taken + 1))
		if v == nil {
			return errBoltShort
		}
		body = append([]byte(nil), v...)
		return nil
	})
	return body, err
}

func (b *boltQueue) close() error {
	if err := b.deleteTaken(); err != nil {
		return err
	}
	return b.db.Close()
}
