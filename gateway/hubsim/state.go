package hubsim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"
)

// state is what the hub remembers beside the messages: devices, sessions and
// commands. On disk it is a journal of changes, written anew at each start.
type state struct {
	ttl time.Duration // of a command whose sender names no expiry

	mu      sync.Mutex
	journal *journal
	devices map[string]*device
	number  int64 // of the newest command
	// news is closed, and made anew, when a device connects or subscribes.
	news chan struct{}
}

// change is one line of the journal; one field of it is set.
type change struct {
	Device  *identity `json:"device,omitempty"` // was created or updated
	Deleted string    `json:"deleted,omitempty"`
	Session *session  `json:"session,omitempty"`
	Command *command  `json:"command,omitempty"` // was sent
	Step    *step     `json:"step,omitempty"`    // what became of a command
}

// session is what a device that connects with clean=0 finds again.
type session struct {
	Device string `json:"device"`
	// Filters is nil if the session was ended.
	Filters map[string]byte `json:"filters"`
}

var (
	errNoDevice = errors.New("there is no such device")
	errOver     = errors.New("the connection is over")
)

// openState replays the journal at path and puts a short one in its place.
func openState(path string, ttl time.Duration) (*state, error) {
	s := &state{ttl: ttl, devices: map[string]*device{}, news: make(chan struct{})}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		old, err := openJournal(path, s.replay)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(old.close(), writeFile(path, s.snapshot(), 0o600)); err != nil {
			return nil, err
		}
	}
	var err error
	s.journal, err = openJournal(path, func([]byte) error { return nil })
	return s, err
}

func (s *state) replay(line []byte) error {
	var c change
	if err := json.Unmarshal(line, &c); err != nil {
		return err
	}
	return s.apply(c)
}

// commit writes a change down and makes it. The caller holds the mutex.
func (s *state) commit(c change) error {
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := s.journal.append(append(line, '\n')); err != nil {
		return err
	}
	return s.apply(c)
}

func (s *state) apply(c change) error {
	switch {
	case c.Device != nil:
		d := s.devices[c.Device.ID]
		if d == nil {
			d = &device{}
			s.devices[c.Device.ID] = d
		}
		d.identity = *c.Device
		return nil
	case c.Deleted != "":
		delete(s.devices, c.Deleted)
		return nil
	case c.Session != nil:
		return s.with(c.Session.Device, func(d *device) { d.filters = c.Session.Filters })
	case c.Command != nil:
		s.number = max(s.number, c.Command.Number)
		return s.with(c.Command.Device, func(d *device) { d.commands = append(d.commands, c.Command) })
	case c.Step != nil:
		return s.with(c.Step.Device, func(d *device) { d.advance(*c.Step) })
	}
	return errors.New("the line holds no change that this version knows")
}

func (s *state) with(id string, do func(*device)) error {
	d, ok := s.devices[id]
	if !ok {
		return fmt.Errorf("device %.80q: %w", id, errNoDevice)
	}
	do(d)
	return nil
}

// snapshot is the shortest journal that leads to this state.
func (s *state) snapshot() []byte {
	var b bytes.Buffer
	out := json.NewEncoder(&b) // of these types, into memory: cannot fail
	for _, d := range s.sorted() {
		_ = out.Encode(change{Device: &d.identity})
		if d.filters != nil {
			_ = out.Encode(change{Session: &session{Device: d.ID, Filters: d.filters}})
		}
		for _, c := range d.commands {
			c.requeue() // its connection ended with the process
			_ = out.Encode(change{Command: c})
		}
	}
	return b.Bytes()
}

func (s *state) sorted() []*device {
	list := make([]*device, 0, len(s.devices))
	for _, d := range s.devices {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *device) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func (s *state) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.journal.close()
}
