package mqtt

import (
	"bytes"
	"slices"
	"sync"
)

// Replacement is a bundle that stands in for the configured one, in every Trust
// that shares it, until it is taken back. One of them proves it: it tells what
// comes of the bundle that counts now, be it this one or again the configured.
//
// A nil Replacement is none and never will be.
type Replacement struct {
	mu      sync.Mutex
	pem     []byte        // nil: the configured bundle counts
	changed chan struct{} // is closed by the next change
	judged  chan struct{}
	trusts  []*Trust // that share it
	known   bool
	err     error
}

// NewReplacement begins with none.
func NewReplacement() *Replacement {
	return &Replacement{changed: make(chan struct{}), judged: make(chan struct{}, 1)}
}

// Put makes pem, certificates in PEM form, count from the next connection on.
// Empty takes back what was put before.
func (r *Replacement) Put(pem []byte) {
	for _, t := range r.put(pem) {
		t.review()
	}
}

// put returns those that have to know.
func (r *Replacement) put(pem []byte) []*Trust {
	r.mu.Lock()
	defer r.mu.Unlock()
	if bytes.Equal(pem, r.pem) {
		return nil
	}
	r.pem = bytes.Clone(pem)
	r.known, r.err = false, nil
	close(r.changed)
	r.changed = make(chan struct{})
	return slices.Clone(r.trusts)
}

// share tells t of changes.
func (r *Replacement) share(t *Trust) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trusts = append(r.trusts, t)
}

// Proof tells what is known of the bundle that counts now: nothing before a
// server was verified; then nil, or why it took an earlier bundle.
func (r *Replacement) Proof() (known bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known, r.err
}

// Judged tells that Proof has news.
func (r *Replacement) Judged() <-chan struct{} { return r.judged }

// bundle is nil if the configured one counts.
func (r *Replacement) bundle() []byte {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pem) == 0 {
		return nil
	}
	return r.pem
}

// change is closed by the next change.
func (r *Replacement) change() <-chan struct{} {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// judge says what came of the bundle, unless it has been replaced by now.
func (r *Replacement) judge(bundle []byte, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !bytes.Equal(bundle, r.pem) || r.known && (err == nil) == (r.err == nil) {
		return
	}
	r.known, r.err = true, err
	select {
	case r.judged <- struct{}{}:
	default:
	}
}
