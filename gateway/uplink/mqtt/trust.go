package mqtt

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fieldpost/fieldpost/gateway/durable"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// Trust decides which certificates of a server are believed: those of the CAs of
// the system, and of the bundle, a PEM file that anybody in charge of the board
// may replace; or of what stands in for it.
//
// A bundle that is new is on probation. It takes the place of the last one that
// worked, of which there is a copy, once a server has been verified with it. If
// a server cannot be verified with it, the next connection uses the copy again,
// and a condition says so until the bundle is replaced once more. If the copy does
// not work either, the two take turns.
type Trust struct {
	opts TrustOptions

	mu       sync.Mutex
	read     bool   // the copy was looked for
	copy     []byte // nil if there is none
	last     []byte // a server was last verified with it
	rejected digest // of the bundle that a server could not be verified with
	why      error  // it could not
}

// TrustOptions say which bundle, and where its copy is kept.
type TrustOptions struct {
	// Bundle is the path of the PEM file; empty: it is the CAs of the system alone.
	Bundle string
	// Replacement stands in for Bundle; nil: nothing does.
	Replacement *Replacement
	// Proves: what comes of connections is the proof of the Replacement, which
	// there is then.
	Proves bool
	// Copy is the path of the last bundle that worked; empty: none is kept, and
	// a new bundle counts at once.
	Copy string
	// Condition is the code under which a bundle that does not work is told.
	Condition string
	// Now is the time at which certificates must be valid; nil: the board's.
	Now    func() time.Time
	Health *health.Board
	Log    *slog.Logger
}

type digest = [sha256.Size]byte

// NewTrust reads nothing yet: the file is read for each connection.
func NewTrust(o TrustOptions) *Trust {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Health = cmp.Or(o.Health, health.NewBoard(o.Log))
	t := &Trust{opts: o}
	o.Replacement.share(t)
	return t
}

// TLS returns the settings for one connection to a server of that name: TLS 1.2
// or later, and the name is checked. settle must be called with what came of the
// connection: nil, or why there is none; of several that use the settings in turn,
// for each.
func (t *Trust) TLS(server string) (c *tls.Config, settle func(error), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	pem, err := t.choose()
	if err != nil {
		return nil, nil, err
	}
	c = newTLS(server, pem)
	c.Time = t.opts.Now
	var verified atomic.Bool
	c.VerifyConnection = func(tls.ConnectionState) error { // runs after the chain and the name were found right
		verified.Store(true)
		return nil
	}
	// A handshake tells once: by the next call another bundle may have worked.
	return c, func(err error) { t.settle(pem, verified.Swap(false), err) }, nil
}

// Replaced is closed when the Replacement changes, of a Trust that proves it.
func (t *Trust) Replaced() <-chan struct{} {
	if !t.opts.Proves {
		return nil
	}
	return t.opts.Replacement.change()
}

// Outdated reports whether a server was last verified with another bundle than
// the next one will be, so that only a new connection can tell whether it works.
func (t *Trust) Outdated() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	pem, err := t.choose()
	if err == nil && !bytes.Equal(pem, t.last) {
		return true
	}
	t.conclude()
	return false
}

// current is the bundle that should count, which is standIn unless that is nil,
// and what to call it.
func (t *Trust) current(standIn []byte) (pem []byte, name string, err error) {
	if standIn != nil {
		return standIn, "the new settings.ca", nil
	}
	if t.opts.Bundle == "" {
		return nil, "the CAs of the system alone", nil
	}
	pem, err = readBundle(t.opts.Bundle)
	return pem, "the new ca_file " + t.opts.Bundle, err
}

// former is the bundle to go back to, if there is one: the last one that worked,
// or the configured one before anything has worked with what stands in for it.
func (t *Trust) former(standIn []byte) (pem []byte, ok bool) {
	switch {
	case t.copy != nil:
		return t.copy, true
	case standIn == nil:
		return nil, false
	case t.opts.Bundle == "":
		return nil, true
	}
	pem, err := readBundle(t.opts.Bundle)
	return pem, err == nil
}

// choose says which is used next: the current bundle, unless it has failed or is
// no bundle at all and there is a former one.
func (t *Trust) choose() ([]byte, error) {
	t.recall()
	standIn := t.opts.Replacement.bundle()
	current, _, err := t.current(standIn)
	former, has := t.former(standIn)
	switch {
	case !has:
		return current, err
	case err != nil:
		t.opts.Health.Raise(t.opts.Condition, health.Error, fmt.Sprintf("%v; the last one that worked is used instead", err))
		return former, nil
	case sha256.Sum256(current) == t.rejected:
		return former, nil
	}
	return current, nil
}

// settle learns from a connection that was tried with pem.
func (t *Trust) settle(pem []byte, verified bool, err error) {
	if !verified && !blamesTrust(err) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if verified {
		t.keep(pem)
		t.last = pem
		t.conclude()
		return
	}
	standIn := t.opts.Replacement.bundle()
	switch former, has := t.former(standIn); {
	case !has:
	case bytes.Equal(pem, former):
		t.rejected = digest{} // the new one gets another chance
	default:
		t.reject(pem, standIn, err)
	}
}

// reject sets a bundle aside that a server could not be verified with.
func (t *Trust) reject(pem, standIn []byte, why error) {
	t.rejected, t.why = sha256.Sum256(pem), why
	if current, name, err := t.current(standIn); err == nil && bytes.Equal(pem, current) {
		t.opts.Health.Raise(t.opts.Condition, health.Error, fmt.Sprintf(
			"the server cannot be verified with %s, the last one that worked is used instead: %v", name, why))
	}
}

// review takes the condition back when another bundle counts than the one that
// has failed.
func (t *Trust) review() {
	t.mu.Lock()
	defer t.mu.Unlock()
	current, _, err := t.current(t.opts.Replacement.bundle())
	if err == nil && sha256.Sum256(current) != t.rejected {
		t.opts.Health.Clear(t.opts.Condition)
	}
}

// conclude says what it means for the current bundle that a server was verified
// with the last one.
func (t *Trust) conclude() {
	standIn := t.opts.Replacement.bundle()
	current, _, err := t.current(standIn)
	switch {
	case err != nil:
		t.judge(standIn, err)
	case bytes.Equal(current, t.last):
		t.rejected = digest{}
		t.opts.Health.Clear(t.opts.Condition)
		t.judge(standIn, nil)
	case sha256.Sum256(current) == t.rejected:
		t.judge(standIn, t.why)
	}
}

func (t *Trust) judge(standIn []byte, err error) {
	if t.opts.Proves {
		t.opts.Replacement.judge(standIn, err)
	}
}

// keep makes pem the last bundle that worked.
func (t *Trust) keep(pem []byte) {
	if t.opts.Copy == "" || bytes.Equal(pem, t.copy) {
		return
	}
	t.copy = pem
	if err := t.write(pem); err != nil {
		t.opts.Log.Warn("no copy of the bundle of CAs can be kept", "error", err)
		return
	}
	t.opts.Log.Info("a server was verified with a new bundle of CAs, which is kept in case that a later one fails", "copy", t.opts.Copy)
}

// write keeps a copy; of the CAs of the system alone none is needed.
func (t *Trust) write(pem []byte) error {
	if len(pem) == 0 {
		return os.Remove(t.opts.Copy)
	}
	if err := os.MkdirAll(filepath.Dir(t.opts.Copy), 0o750); err != nil {
		return err
	}
	return durable.Replace(t.opts.Copy, pem, 0o640)
}

// recall looks for the copy once. One that is no good is as good as none.
func (t *Trust) recall() {
	if t.read || t.opts.Copy == "" {
		return
	}
	t.read = true
	pem, err := readBundle(t.opts.Copy)
	if err == nil {
		t.copy = pem
	} else if !errors.Is(err, fs.ErrNotExist) {
		t.opts.Log.Warn("the copy of the bundle of CAs cannot be used", "error", err)
	}
}

// blamesTrust tells whether another bundle might have helped. A name that is
// wrong is the server's fault.
func blamesTrust(err error) bool {
	var verification *tls.CertificateVerificationError
	var hostname x509.HostnameError
	return errors.As(err, &verification) && !errors.As(err, &hostname)
}
