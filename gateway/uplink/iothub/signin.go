package iothub

import (
	"context"
	"crypto/tls"
	"time"
)

// signIn is how this board gets into its hub: where that is, and what it shows
// there.
type signIn struct {
	locator
	credential
}

// locator knows which device of which hub this board is.
type locator interface {
	// name is for logs and status, and always the same.
	name() string
	// locate is asked before each connection.
	locate(ctx context.Context) (identity, error)
	// settle is told what came of the connection: nil, or why there is none.
	settle(err error)
}

// credential shows that this board is who it says.
type credential interface {
	// prove makes the proof for one connection. For what resource, under which
	// policy and until when matters to tokens only; a device's own key has no
	// policy.
	prove(resource, policy string, expires time.Time) (proof, error)
	// renewable reports whether a proof ends with its expires.
	renewable() bool
	// hint says what to check when the proof is refused.
	hint() string
}

// proof is what a login shows: a token, or a certificate within TLS.
type proof struct {
	token       string
	certificate *tls.Certificate
}

// login is one use of an identity.
type login struct {
	identity
	proof
}

// login makes what the next connection shows.
func (s signIn) login(ctx context.Context, expires time.Time) (login, error) {
	id, err := s.locate(ctx)
	if err != nil {
		return login{}, err
	}
	p, err := s.prove(id.resource(), "", expires)
	return login{id, p}, err
}

// identity is a device of a hub, and where that hub listens.
type identity struct {
	host   string // of the hub, without port: part of user name and token
	device string
	endpoint
}

// An identity from the configuration is a locator: it never changes.

func (id identity) name() string                             { return id.host + "/" + id.device }
func (id identity) locate(context.Context) (identity, error) { return id, nil }
func (id identity) settle(error)                             {}

const apiVersion = "2021-04-12"

func (id identity) userName() string {
	return id.host + "/" + id.device + "/?api-version=" + apiVersion
}

// resource is what a token of this device is for.
func (id identity) resource() string { return id.host + "/devices/" + id.device }
