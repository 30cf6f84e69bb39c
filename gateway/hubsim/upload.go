package hubsim

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// maxUploads is how many uploads of a device may be under way.
	maxUploads = 10
	// keptUploads bounds how many uploads that are over are remembered.
	keptUploads = 1000
	// notificationLock is how long a notification that was read is kept from
	// other readers.
	notificationLock = time.Minute
)

var (
	errUploads  = fmt.Errorf("the device has %d uploads that are neither reported nor expired", maxUploads)
	errNoUpload = errors.New("there is no upload under way with this correlation id")
)

// upload is one file on its way from a device into the storage.
type upload struct {
	Correlation string    `json:"correlationId"`
	Device      string    `json:"deviceId"`
	Blob        string    `json:"blobName"` // begins with the device's id
	Began       time.Time `json:"began"`
	Expires     time.Time `json:"expires"` // the end of the token
	// Report is nil as long as the device has not said how it went.
	Report *uploadReport `json:"report,omitempty"`

	lock   string // of the notification
	locked time.Time
}

// uploadReport is what a device says of an upload, and whether the file is
// really there.
type uploadReport struct {
	OK          bool      `json:"isSuccess"`
	Status      int       `json:"statusCode"`
	Description string    `json:"statusDescription"`
	Time        time.Time `json:"time"`
	// Bytes is the size of the blob; -1 if there is none.
	Bytes int64 `json:"bytes"`
	// Notified means that a back end has taken note.
	Notified bool `json:"notified,omitempty"`
}

// uploads remembers the uploads. Each line of its journal is an upload as it
// is from then on.
type uploads struct {
	mu      sync.Mutex
	journal *journal
	all     []*upload // in the order of their beginnings
}

func openUploads(path string) (*uploads, error) {
	u := &uploads{}
	var err error
	u.journal, err = openJournal(path, func(line []byte) error {
		var known upload
		if err := json.Unmarshal(line, &known); err != nil {
			return err
		}
		u.put(known)
		return nil
	})
	return u, err
}

// put replaces what is known of an upload.
func (u *uploads) put(known upload) {
	if i := u.index(known.Correlation); i >= 0 {
		*u.all[i] = known
		return
	}
	u.all = append(u.all, &known)
	over := func(x *upload) bool { return x.Report != nil && (!x.Report.OK || x.Report.Notified) }
	if i := slices.IndexFunc(u.all, over); i >= 0 && len(u.all) > keptUploads {
		u.all = slices.Delete(u.all, i, i+1)
	}
}

func (u *uploads) index(correlation string) int {
	return slices.IndexFunc(u.all, func(x *upload) bool { return x.Correlation == correlation })
}

// commit writes down what is known of an upload. The caller holds the mutex.
func (u *uploads) commit(known upload) error {
	line, err := json.Marshal(known)
	if err != nil {
		return err
	}
	if err := u.journal.append(append(line, '\n')); err != nil {
		return err
	}
	u.put(known)
	return nil
}

// begin makes room for one more upload of a device.
func (u *uploads) begin(device, blob string, ttl time.Duration) (upload, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now, open := time.Now().UTC(), 0
	for _, x := range u.all {
		if x.Device == device && x.Report == nil && now.Before(x.Expires) {
			open++
		}
	}
	if open >= maxUploads {
		return upload{}, errUploads
	}
	fresh := upload{
		Correlation: "MjAy" + randomHex(16) + "==", // opaque, and not safe in a path
		Device:      device, Blob: blob, Began: now, Expires: now.Add(ttl),
	}
	return fresh, u.commit(fresh)
}

// end notes how an upload went.
func (u *uploads) end(device, correlation string, report uploadReport, bytesOf func(blob string) int64) (upload, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	i := u.index(correlation)
	if i < 0 || u.all[i].Device != device || u.all[i].Report != nil {
		return upload{}, errNoUpload
	}
	known := *u.all[i]
	report.Bytes = bytesOf(known.Blob)
	known.Report = &report
	return known, u.commit(known)
}

// notification hands out the oldest upload that no back end knows of and that
// no other reader has, with a lock.
func (u *uploads) notification() (upload, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	for _, x := range u.all {
		if r := x.Report; r != nil && r.OK && r.Bytes >= 0 && !r.Notified && now.Sub(x.locked) > notificationLock {
			x.lock, x.locked = randomHex(16), now
			return *x, true
		}
	}
	return upload{}, false
}

// unlock ends the reading of a notification: taken, or given back.
func (u *uploads) unlock(lock string, taken bool) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	i := slices.IndexFunc(u.all, func(x *upload) bool { return x.lock == lock && x.lock != "" })
	if i < 0 {
		return errNoLock
	}
	known := *u.all[i]
	known.lock, known.locked = "", time.Time{}
	if !taken {
		*u.all[i] = known
		return nil
	}
	report := *known.Report
	report.Notified = true
	known.Report = &report
	return u.commit(known)
}

var errNoLock = errors.New("there is no notification with this lock token")

// list returns the uploads of a device, or of all, oldest first.
func (u *uploads) list(device string) []upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := []upload{}
	for _, x := range u.all {
		if device == "" || x.Device == device {
			list = append(list, *x)
		}
	}
	slices.SortStableFunc(list, func(a, b upload) int { return cmp.Compare(a.Began.UnixNano(), b.Began.UnixNano()) })
	return list
}

func (u *uploads) close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.journal.close()
}
