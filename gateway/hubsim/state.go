package hubsim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// state is what the hub remembers beside the messages: devices, sessions and
// commands. On disk it is a journal of changes, written anew at each start and
// whenever it has grown much longer than what it says.
type state struct {
	path string
	ttl  time.Duration // of a command whose sender names no expiry

	mu          sync.Mutex
	journal     *journal
	longest     int64 // bytes of journal before it is written anew
	devices     map[string]*device
	enrollments map[string]*enrollment // by registration id
	number      int64                  // of the newest command
	feedback    []*feedback            // that no back end has taken, oldest first
	locks       []feedbackLock
	// news is closed, and made anew, when a device connects or subscribes.
	news chan struct{}
}

// change is one line of the journal; one field of it is set.
type change struct {
	Device     *identity   `json:"device,omitempty"` // was created or updated
	Deleted    string      `json:"deleted,omitempty"`
	Enrollment *enrollment `json:"enrollment,omitempty"` // was created or updated
	Unenrolled string      `json:"unenrolled,omitempty"`
	Session    *session    `json:"session,omitempty"`
	Command    *command    `json:"command,omitempty"` // was sent
	Step       *step       `json:"step,omitempty"`    // what became of a command
	// Feedback is still to be taken; FeedbackTaken are the numbers of what was.
	Feedback      *feedback `json:"feedback,omitempty"`
	FeedbackTaken []int64   `json:"feedback_taken,omitempty"`
	// TwinChange is a change of a twin, Twin a whole one.
	TwinChange *twinChange `json:"twin_change,omitempty"`
	Twin       *twinLine   `json:"twin,omitempty"`
}

// twinLine is the twin of a device.
type twinLine struct {
	Device string `json:"device"`
	Twin   *twin  `json:"twin"`
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

// shortJournal is a journal that is never too long.
const shortJournal = 8 << 20

// openState replays the journal at path and puts a short one in its place.
func openState(path string, ttl time.Duration) (*state, error) {
	s := &state{path: path, ttl: ttl, devices: map[string]*device{}, enrollments: map[string]*enrollment{}, news: make(chan struct{})}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		old, err := openJournal(path, s.replay)
		if err != nil {
			return nil, err
		}
		for _, d := range s.devices {
			d.requeue() // its connection ended with the process
		}
		if err := errors.Join(old.close(), writeFile(path, s.snapshot(), 0o600)); err != nil {
			return nil, err
		}
	}
	return s, s.reopen()
}

// reopen opens the journal that is short now.
func (s *state) reopen() (err error) {
	s.journal, err = openJournal(s.path, func([]byte) error { return nil })
	if err == nil {
		s.longest = max(shortJournal, 4*s.journal.size)
	}
	return err
}

// compact writes the journal anew if it has become long. The caller holds the
// mutex. If there is no room for that, the long one goes on.
func (s *state) compact() error {
	if s.journal.size < s.longest {
		return nil
	}
	if err := writeFile(s.path, s.snapshot(), 0o600); err != nil {
		s.longest *= 2
		return nil
	}
	return errors.Join(s.journal.close(), s.reopen())
}

func (s *state) replay(line []byte) error {
	in := json.NewDecoder(bytes.NewReader(line))
	in.UseNumber() // as documents have them
	var c change
	if err := in.Decode(&c); err != nil {
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
	return errors.Join(s.apply(c), s.compact())
}

func (s *state) apply(c change) error {
	switch {
	case c.Device != nil:
		d := s.devices[c.Device.ID]
		if d == nil {
			d = &device{twin: newTwin()}
			s.devices[c.Device.ID] = d
		}
		d.identity = *c.Device
		if d.Auth == "" { // written before there were others
			d.Auth = authSAS
		}
		return nil
	case c.Deleted != "":
		maps.DeleteFunc(s.devices, func(id string, _ *device) bool {
			return id == c.Deleted || strings.HasPrefix(id, c.Deleted+"/")
		})
		return nil
	case c.Enrollment != nil:
		s.enrollments[c.Enrollment.ID] = c.Enrollment
		return nil
	case c.Unenrolled != "":
		delete(s.enrollments, c.Unenrolled)
		return nil
	case c.TwinChange != nil:
		return s.with(c.TwinChange.Device, func(d *device) { d.twin = d.twin.after(*c.TwinChange) })
	case c.Twin != nil && c.Twin.Twin != nil:
		return s.with(c.Twin.Device, func(d *device) { d.twin = c.Twin.Twin })
	case c.Session != nil:
		return s.with(c.Session.Device, func(d *device) { d.filters = c.Session.Filters })
	default:
		return s.applyToCommands(c)
	}
}

// applyToCommands makes a change of commands, or of what back ends hear of
// them.
func (s *state) applyToCommands(c change) error {
	switch {
	case c.Command != nil:
		s.number = max(s.number, c.Command.Number)
		return s.with(c.Command.Device, func(d *device) { d.commands = append(d.commands, c.Command) })
	case c.Feedback != nil:
		s.feedback = append(s.feedback, c.Feedback)
		return nil
	case c.FeedbackTaken != nil:
		s.feedback = slices.DeleteFunc(s.feedback, func(f *feedback) bool { return slices.Contains(c.FeedbackTaken, f.Number) })
		return nil
	case c.Step != nil:
		if c.Step.Feedback != nil {
			s.feedback = append(s.feedback, c.Step.Feedback)
		}
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
	for _, e := range s.sortedEnrollments() {
		_ = out.Encode(change{Enrollment: e})
	}
	for _, f := range s.feedback {
		_ = out.Encode(change{Feedback: f})
	}
	for _, d := range s.sorted() {
		_ = out.Encode(change{Device: &d.identity})
		_ = out.Encode(change{Twin: &twinLine{d.ID, d.twin}})
		if d.filters != nil {
			_ = out.Encode(change{Session: &session{Device: d.ID, Filters: d.filters}})
		}
		for _, c := range d.commands {
			again := *c
			again.requeue() // a replay finds no connection
			_ = out.Encode(change{Command: &again})
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
