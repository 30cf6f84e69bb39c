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

	"github.com/fieldpost/fieldpost/gateway/durable"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// Trust decides which certificates of a server are believed: those of the CAs of
// the system, and of the bundle, a PEM file that anybody in charge of the board
// may replace.
//
// A bundle that is new is on probation. It takes the place of the last one that
// worked, of which there is a copy, once a server has been verified with it. If
// a server cannot be verified with it, the next connection uses the copy again,
// and a condition says so until the file is replaced once more. If the copy does
// not work either, the two take turns.
type Trust struct {
	opts TrustOptions

	mu       sync.Mutex
	read     bool   // the copy was looked for
	copy     []byte // nil if there is none
	rejected digest // of the bundle that a server could not be verified with
}

// TrustOptions say which bundle, and where its copy is kept.
type TrustOptions struct {
	// Bundle is the path of the PEM file; empty: only the CAs of the system
	// count, and the rest is without meaning.
	Bundle string
	// Copy is the path of the last bundle that worked; empty: none is kept, and
	// a new bundle counts at once.
	Copy string
	// Condition is the code under which a bundle that does not work is told.
	Condition string
	Health    *health.Board
	Log       *slog.Logger
}

type digest = [sha256.Size]byte

// NewTrust reads nothing yet: the file is read for each connection.
func NewTrust(o TrustOptions) *Trust {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Health = cmp.Or(o.Health, health.NewBoard(o.Log))
	return &Trust{opts: o}
}

// TLS returns the settings for one connection to a server of that name, as
// NewTLS does. settle must be called with what came of the connection: nil, or
// why there is none; of several that use the settings in turn, for each.
func (t *Trust) TLS(server string) (c *tls.Config, settle func(error), err error) {
	if t.opts.Bundle == "" {
		c, err = NewTLS(server, "")
		return c, func(error) {}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	pem, err := t.choose()
	if err != nil {
		return nil, nil, err
	}
	c = newTLS(server, pem)
	var verified atomic.Bool
	c.VerifyConnection = func(tls.ConnectionState) error { // runs after the chain and the name were found right
		verified.Store(true)
		return nil
	}
	// A handshake tells once: by the next call another bundle may have worked.
	return c, func(err error) { t.settle(pem, verified.Swap(false), err) }, nil
}

// choose says which of the two is used next: the bundle, unless it has failed or
// is no bundle at all and there is a copy.
func (t *Trust) choose() ([]byte, error) {
	t.recall()
	bundle, err := readBundle(t.opts.Bundle)
	switch {
	case err == nil && (t.copy == nil || sha256.Sum256(bundle) != t.rejected):
		return bundle, nil
	case err == nil:
		return t.copy, nil
	case t.copy == nil:
		return nil, err
	}
	t.opts.Health.Raise(t.opts.Condition, health.Error, fmt.Sprintf("%v; the last one that worked is used instead", err))
	return t.copy, nil
}

// settle learns from a connection that was tried with pem.
func (t *Trust) settle(pem []byte, verified bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	isCopy := bytes.Equal(pem, t.copy)
	switch {
	case verified && !isCopy:
		t.keep(pem)
	case verified && t.isBundle(pem):
		t.opts.Health.Clear(t.opts.Condition)
	case !blamesTrust(err):
	case isCopy:
		t.rejected = digest{} // the new one gets another chance
	case t.copy != nil:
		t.rejected = sha256.Sum256(pem)
		t.opts.Health.Raise(t.opts.Condition, health.Error, fmt.Sprintf(
			"the server cannot be verified with the new ca_file %s, the last one that worked is used instead: %v", t.opts.Bundle, err))
	}
}

// isBundle tells whether pem is what the file says now.
func (t *Trust) isBundle(pem []byte) bool {
	bundle, err := os.ReadFile(t.opts.Bundle)
	return err == nil && bytes.Equal(bundle, pem)
}

// keep makes pem the last bundle that worked.
func (t *Trust) keep(pem []byte) {
	t.copy, t.rejected = pem, digest{}
	t.opts.Health.Clear(t.opts.Condition)
	if t.opts.Copy == "" {
		t.copy = nil
		return
	}
	err := os.MkdirAll(filepath.Dir(t.opts.Copy), 0o750)
	if err == nil {
		err = durable.Replace(t.opts.Copy, pem, 0o640)
	}
	if err != nil {
		t.opts.Log.Warn("no copy of ca_file can be kept", "error", err)
		return
	}
	t.opts.Log.Info("a server was verified with ca_file, which is kept in case that a later one fails", "copy", t.opts.Copy)
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
		t.opts.Log.Warn("the copy of ca_file cannot be used", "error", err)
	}
}

// blamesTrust tells whether another bundle might have helped. A name that is
// wrong is the server's fault.
func blamesTrust(err error) bool {
	var verification *tls.CertificateVerificationError
	var hostname x509.HostnameError
	return errors.As(err, &verification) && !errors.As(err, &hostname)
}
