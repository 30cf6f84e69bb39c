package hubsim

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"time"
)

// twin is what a device and its back ends know of each other's wishes and
// state. It is never changed; after makes a new one.
type twin struct {
	// ETag counts changes of back ends, Version all of them.
	ETag     uint64   `json:"etag"`
	Version  int64    `json:"version"`
	Tags     document `json:"tags,omitempty"`
	Desired  section  `json:"desired"`
	Reported section  `json:"reported"`
}

// section is one of the two documents of properties.
type section struct {
	Values  document `json:"values,omitempty"`
	Version int64    `json:"version"`
	Stamps  stamp    `json:"stamps"`
}

// stamp says when an object or a value was last written.
type stamp struct {
	At      time.Time        `json:"at"`
	Version int64            `json:"version,omitempty"`
	Below   map[string]stamp `json:"below,omitempty"`
}

// newTwin is the twin of a new device.
func newTwin() *twin {
	return &twin{ETag: 1, Version: 2, Desired: section{Version: 1}, Reported: section{Version: 1}}
}

// twinChange is a change of a twin. What is nil stays as it is.
type twinChange struct {
	Device string    `json:"device"`
	At     time.Time `json:"at"`
	// Replace is set if the documents take the place of those that are there.
	Replace  bool     `json:"replace,omitempty"`
	Tags     document `json:"tags,omitzero"`
	Desired  document `json:"desired,omitzero"`
	Reported document `json:"reported,omitzero"`
}

var errDocument = errors.New("the twin would be too large")

// after is the twin after a change.
func (t *twin) after(c twinChange) *twin {
	next := *t
	next.Version++
	if c.Tags != nil || c.Desired != nil {
		next.ETag++
	}
	if c.Tags != nil {
		if c.Replace {
			next.Tags = nil
		}
		next.Tags = next.Tags.merge(c.Tags)
	}
	if c.Desired != nil {
		next.Desired = next.Desired.after(c.Desired, c.At, c.Replace, true)
	}
	if c.Reported != nil {
		next.Reported = next.Reported.after(c.Reported, c.At, false, false)
	}
	return &next
}

func (s section) after(patch document, at time.Time, replace, versions bool) section {
	if replace {
		s.Values, s.Stamps = nil, stamp{}
	}
	s.Version++
	version := int64(0)
	if versions {
		version = s.Version
	}
	return section{Values: s.Values.merge(patch), Version: s.Version, Stamps: s.Stamps.after(patch, at, version)}
}

// after stamps what a patch writes, and all above it.
func (s stamp) after(patch document, at time.Time, version int64) stamp {
	next := stamp{At: at, Version: version, Below: maps.Clone(s.Below)}
	if next.Below == nil {
		next.Below = map[string]stamp{}
	}
	for key, value := range patch {
		switch v := value.(type) {
		case nil:
			delete(next.Below, key)
		case map[string]any:
			next.Below[key] = s.Below[key].after(v, at, version)
		default:
			next.Below[key] = stamp{At: at, Version: version}
		}
	}
	return next
}

// check holds the limits of size.
func (t *twin) check() error {
	for _, part := range []struct {
		name  string
		size  int
		limit int
	}{
		{"tags", t.Tags.size(), maxTagBytes},
		{"desired properties", t.Desired.Values.size(), maxPropertyBytes},
		{"reported properties", t.Reported.Values.size(), maxPropertyBytes},
	} {
		if part.size > part.limit {
			return fmt.Errorf("%w: %d bytes of %s, the limit is %d", errDocument, part.size, part.name, part.limit)
		}
	}
	return nil
}

// tag is the version of the twin in the form of the hub: AAAAAAAAAAE=.
func (t *twin) tag() string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, t.ETag))
}

// forDevice is the twin as its device sees it.
func (t *twin) forDevice() map[string]any {
	return map[string]any{"desired": t.Desired.withVersion(), "reported": t.Reported.withVersion()}
}

// withVersion is the document with $version in it.
func (s section) withVersion() document {
	values := document{"$version": s.Version}
	maps.Copy(values, s.Values)
	return values
}

// withMetadata is the document with $version and $metadata in it.
func (s section) withMetadata() document {
	values := s.withVersion()
	values["$metadata"] = s.Stamps.json()
	return values
}

func (s stamp) json() map[string]any {
	values := map[string]any{"$lastUpdated": hubTime(s.At)}
	if s.Version > 0 {
		values["$lastUpdatedVersion"] = s.Version
	}
	for key, below := range s.Below {
		values[key] = below.json()
	}
	return values
}

// hubTime writes a time as the hub does.
func hubTime(t time.Time) string {
	if t.IsZero() {
		return "0001-01-01T00:00:00Z"
	}
	return t.UTC().Format("2006-01-02T15:04:05.0000000Z")
}

// changeTwin makes a change, unless the twin is not as expected. A device that
// follows its desired properties is told of them.
func (s *state) changeTwin(c twinChange, expected func(*twin) bool) (view, error) {
	c.At = time.Now().UTC()
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.devices[c.Device]
	if !ok {
		return view{}, errNoDevice
	}
	if !expected(d.twin) {
		return view{}, errETag
	}
	if err := d.twin.after(c).check(); err != nil {
		return view{}, err
	}
	if err := s.commit(change{TwinChange: &c}); err != nil {
		return view{}, err
	}
	if c.Desired != nil && d.conn != nil {
		d.conn.postDesired(c.Desired, d.twin.Desired.Version)
	}
	return d.view(), nil
}
