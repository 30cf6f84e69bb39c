package upload

import (
	"context"
	"fmt"
	"slices"

	"github.com/fieldpost/fieldpost/gateway"
)

func (u *Uploader) byKey(key string) (Upload, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	i := slices.IndexFunc(u.jobs, func(j *job) bool { return key != "" && j.Key == key })
	if i < 0 {
		return Upload{}, false
	}
	return u.jobs[i].Upload, true
}

func (u *Uploader) waiting() (n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, j := range u.jobs {
		if !j.State.Final() {
			n++
		}
	}
	return n
}

// List returns the uploads that are under way and the last of those that are
// over, in the order of their acceptance.
func (u *Uploader) List() []Upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := make([]Upload, 0, len(u.jobs))
	for _, j := range u.jobs {
		list = append(list, j.Upload)
	}
	return list
}

// ErrUnknown is for an upload that there is not, or that is over for long.
var ErrUnknown = fmt.Errorf("there is no such upload: %w", gateway.ErrInvalid)

func (u *Uploader) find(id string) (*job, error) {
	i := slices.IndexFunc(u.jobs, func(j *job) bool { return j.ID == id })
	if i < 0 {
		return nil, fmt.Errorf("upload %.40q: %w", id, ErrUnknown)
	}
	return u.jobs[i], nil
}

// Get returns one upload.
func (u *Uploader) Get(id string) (Upload, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	j, err := u.find(id)
	if err != nil {
		return Upload{}, err
	}
	return j.Upload, nil
}

// Wait returns an upload when it is over, when Run ends, or when ctx does.
func (u *Uploader) Wait(ctx context.Context, id string) (Upload, error) {
	u.mu.Lock()
	j, err := u.find(id)
	u.mu.Unlock()
	if err != nil {
		return Upload{}, err
	}
	select {
	case <-j.over:
	case <-u.ended:
	case <-ctx.Done():
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return j.Upload, nil
}
