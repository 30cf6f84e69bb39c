package upload

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/health"
)

const (
	// remembered is how many uploads that are over stay in the list.
	remembered = 32
	// maxWaiting bounds how many may wait.
	maxWaiting = 1000
	// maxBlocks is the storage's limit for one file.
	maxBlocks = 50_000
	// defaultBlock is that of Way.BlockBytes.
	defaultBlock = 1 << 20
)

// Pacer makes what is sent wait for its share of the line.
type Pacer interface {
	Wait(ctx context.Context) error
}

// Options of an Uploader. Dir, MaxBytes, Cloud, Clock and Log are required;
// zero means the default.
type Options struct {
	Dir string
	// MaxBytes bounds the files in the spool together; MinFree is what has to
	// stay free of the file system.
	MaxBytes, MinFree int64
	Way
	Clock  clock.Clock
	Health *health.Board
	Log    *slog.Logger
	// Held reports that nothing may be sent for now, and why; nil never does.
	Held func() string

	// MinBackoff and MaxBackoff bound the pauses between attempts; default 2 s
	// and 5 min.
	MinBackoff, MaxBackoff time.Duration
	// Stall is after how long without any progress an attempt is given up;
	// default 2 min.
	Stall time.Duration
}

// Way is where files go, and how.
type Way struct {
	Cloud Cloud
	// BlockBytes is how much is sent at once; default 1 MiB.
	BlockBytes int64
	// Pace is asked before each piece of a file; nil never waits.
	Pace Pacer
}

// Uploader has the files that are to be uploaded.
type Uploader struct {
	opts  Options
	dir   directory
	log   *slog.Logger
	wake  chan struct{}
	ended chan struct{} // closed when Run ends

	mu   sync.Mutex
	used int64 // bytes of files in the spool
	jobs []*job
	next uint64
}

// job is one upload in memory. The mutex of the Uploader guards it; the
// goroutine of Run alone changes the record of one that is not final.
type job struct {
	record
	cancel context.CancelFunc // of the attempt under way; nil without
	over   chan struct{}      // closed when the state is final
}

// Open goes on with what earlier runs have left in the spool.
func Open(o Options) (*Uploader, error) {
	if o.Dir == "" || o.MaxBytes <= 0 || o.Cloud == nil || o.Clock == nil || o.Log == nil || o.Health == nil {
		return nil, errors.New("upload: a directory, a bound, a cloud, a clock, a log and a board of conditions are required")
	}
	o.BlockBytes = cmp.Or(o.BlockBytes, defaultBlock)
	o.MinBackoff, o.MaxBackoff = cmp.Or(o.MinBackoff, 2*time.Second), cmp.Or(o.MaxBackoff, 5*time.Minute)
	o.Stall = cmp.Or(o.Stall, 2*time.Minute)
	u := &Uploader{opts: o, dir: directory(o.Dir), log: o.Log, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("uploads: %w", err)
	}
	records, err := u.dir.load(func(what string, err error) { u.log.Error(what, "error", err) })
	if err != nil {
		return nil, fmt.Errorf("uploads: %w", err)
	}
	slices.SortFunc(records, func(a, b record) int { return cmp.Compare(a.Number, b.Number) })
	for _, r := range records {
		u.adopt(r)
	}
	return u, nil
}

// Redirect has files go another way, from the next attempt on.
func (u *Uploader) Redirect(to Way) {
	to.BlockBytes = cmp.Or(to.BlockBytes, defaultBlock)
	u.mu.Lock()
	u.opts.Way = to
	u.mu.Unlock()
	u.rouse()
}

func (u *Uploader) way() Way {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.opts.Way
}

// adopt takes up the upload of an earlier run.
func (u *Uploader) adopt(r record) {
	j := &job{record: r, over: make(chan struct{})}
	j.Failures = 0
	u.next = max(u.next, r.Number)
	switch {
	case j.State.Final():
		close(j.over)
	case j.Outcome == nil:
		j.State, j.NextAttempt = Waiting, time.Time{}
		u.used += j.Bytes
	default:
		j.State = Reporting
	}
	u.jobs = append(u.jobs, j)
}

// Accept copies a file into the spool. When it returns, the upload survives
// restarts. Errors wrap gateway.ErrInvalid or gateway.ErrFull where that is why.
func (u *Uploader) Accept(ctx context.Context, req Request, body io.Reader) (Upload, error) {
	if err := CheckName(req.Name); err != nil {
		return Upload{}, err
	}
	if known, ok := u.byKey(req.Key); ok {
		return known, nil
	}
	if waiting := u.waiting(); waiting >= maxWaiting {
		return Upload{}, fmt.Errorf("upload %s: %d uploads wait already: %w", req.Name, waiting, gateway.ErrFull)
	}
	id := newID()
	size, sum, err := u.copyIn(ctx, id, req, body)
	if err != nil {
		return Upload{}, err
	}
	if req.ContentType == "" {
		req.ContentType = mime.TypeByExtension(path.Ext(req.Name))
	}
	r := record{
		Upload: Upload{
			ID: id, Name: req.Name, ContentType: req.ContentType, Bytes: size,
			Accepted: u.opts.Clock.Now().UTC(), State: Waiting,
		},
		Key: req.Key, MD5: sum, BlockBytes: max(u.way().BlockBytes, size/maxBlocks+1),
	}
	return u.enter(r)
}

// newID names an upload for ever.
func newID() string {
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // never fails
	return hex.EncodeToString(raw[:])
}

// enter makes an upload of a file that is in the spool.
func (u *Uploader) enter(r record) (Upload, error) {
	u.mu.Lock()
	u.next++
	r.Number = u.next
	u.mu.Unlock()
	if err := u.dir.save(r); err != nil {
		u.free(r.Bytes)
		return Upload{}, errors.Join(err, u.dir.remove(r.ID, ".json"), u.dir.remove(r.ID, ".data"))
	}
	u.mu.Lock()
	u.jobs = append(u.jobs, &job{record: r, over: make(chan struct{})})
	u.mu.Unlock()
	u.log.Info("upload accepted", "upload", r.ID, "name", r.Name, "bytes", r.Bytes)
	u.rouse()
	return r.Upload, nil
}

func (u *Uploader) rouse() {
	select {
	case u.wake <- struct{}{}:
	default: // it is awake
	}
}
