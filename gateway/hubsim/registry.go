package hubsim

import (
	"errors"
	"time"
)

var (
	errDeviceExists = errors.New("the device exists already")
	errETag         = errors.New("the device has changed meanwhile")
)

// view is a copy of a device for those who show it.
type view struct {
	identity
	connected         bool
	changed, activity time.Time
	waiting           int // commands
	twin              *twin
	revoked           []byte
}

func (d *device) view() view {
	v := view{identity: d.identity, connected: d.conn != nil, changed: d.changed, activity: d.activity, twin: d.twin, revoked: d.revoked}
	for _, c := range d.commands {
		if !c.ended() {
			v.waiting++
		}
	}
	return v
}

func (s *state) identity(id string) (identity, bool) {
	v, err := s.view(id)
	return v.identity, err == nil
}

func (s *state) view(id string) (view, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.devices[id]
	if !ok {
		return view{}, errNoDevice
	}
	return d.view(), nil
}

// views lists the devices by id, without their modules.
func (s *state) views() []view {
	return s.viewsOf(func(id string) bool { return !isModule(id) })
}

func (s *state) viewsOf(wanted func(id string) bool) []view {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]view, 0, len(s.devices))
	for _, d := range s.sorted() {
		if wanted(d.ID) {
			list = append(list, d.view())
		}
	}
	return list
}

// create makes a device with new keys.
func (s *state) create(id string) error {
	i, err := newIdentity(id, credential{Auth: authSAS})
	if err == nil {
		_, err = s.createAs(i)
	}
	return err
}

func (s *state) createAs(i identity) (view, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, exists := s.devices[i.ID]; exists {
		return view{}, errDeviceExists
	}
	if err := s.checkParent(i.ID); err != nil {
		return view{}, err
	}
	if err := s.commit(change{Device: &i}); err != nil {
		return view{}, err
	}
	return s.devices[i.ID].view(), nil
}

// update changes a device whose version is etag; "*" is any. A device that
// was disabled is cut off.
func (s *state) update(id, etag string, edit func(*identity)) (view, error) {
	s.mu.Lock()
	d, err := s.version(id, etag)
	if err != nil {
		s.mu.Unlock()
		return view{}, err
	}
	i := d.identity
	edit(&i)
	if i.Disabled != d.Disabled {
		i.StatusSince = time.Now().UTC()
	}
	if err = i.complete(); err == nil {
		err = s.commit(change{Device: &i})
	}
	v, off := d.view(), []*conn{}
	if err == nil && v.Disabled {
		for _, d := range append(s.modulesOf(id), d) {
			off = append(off, d.conn)
		}
	}
	s.mu.Unlock()
	for _, c := range off {
		if c != nil {
			c.stop("the device was disabled")
		}
	}
	return v, err
}

// remove deletes a device with its commands and modules, and cuts them off.
func (s *state) remove(id, etag string) error {
	s.mu.Lock()
	d, err := s.version(id, etag)
	gone := append(s.modulesOf(id), d)
	if err == nil {
		err = s.commit(change{Deleted: id})
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	for _, d := range gone {
		if c := d.conn; c != nil {
			c.stop("the device was deleted")
		}
	}
	return nil
}

func (s *state) version(id, etag string) (*device, error) {
	d, ok := s.devices[id]
	if !ok {
		return nil, errNoDevice
	}
	if etag != "*" && etag != d.ETag {
		return nil, errETag
	}
	return d, nil
}

// revoke remembers a token that is not taken any more. A restart forgets it.
func (s *state) revoke(id string, signature []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.devices[id]; ok {
		d.revoked = signature
	}
}

// connections lists those of all devices.
func (s *state) connections() (list []*conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.devices {
		if d.conn != nil {
			list = append(list, d.conn)
		}
	}
	return list
}

// connection returns the connection of a device, nil if there is none.
func (s *state) connection(id string) (*conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.devices[id]
	if !ok {
		return nil, errNoDevice
	}
	return d.conn, nil
}
