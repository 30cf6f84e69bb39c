package drivers

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// pump is a device under the control of the test: what it answers is set by the
// fields, what it was asked is in the journal.
type pump struct {
	mu      sync.Mutex
	open    error // what Open answers
	read    error
	safe    error
	do      error
	stale   bool          // it has to be opened anew before it can be made safe
	hang    chan struct{} // calls come back when it is closed
	closing chan struct{} // likewise Close
	took    []string      // what was asked, in order
	times   []time.Time
}

func (p *pump) note(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took = append(p.took, what)
	if what == "open" {
		p.times = append(p.times, time.Now())
	}
}

func (p *pump) set(change func(*pump)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *pump) get() (journal string, opens []time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.took, " "), append([]time.Time(nil), p.times...)
}

func (p *pump) answer(err *error) error {
	p.mu.Lock()
	hang := p.hang
	p.mu.Unlock()
	if hang != nil {
		<-hang
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return *err
}

func (p *pump) Open(context.Context) error {
	p.note("open")
	p.set(func(p *pump) { p.stale = false })
	return p.answer(&p.open)
}

func (p *pump) Close() error {
	p.note("close")
	if p.closing != nil {
		<-p.closing
	}
	return nil
}

func (p *pump) Safe(context.Context) error {
	p.note("safe")
	stale := false
	if p.set(func(p *pump) { stale = p.stale }); stale {
		return errGone
	}
	return p.answer(&p.safe)
}

func (p *pump) Read(context.Context) ([]gateway.Reading, error) {
	p.note("read")
	if err := p.answer(&p.read); err != nil {
		return nil, err
	}
	return []gateway.Reading{{Name: "flow"}}, nil
}

func (p *pump) Actions() []gateway.Action {
	return []gateway.Action{{Name: "stop"}, {Name: "wait", Patient: true}}
}

func (p *pump) Do(context.Context, gateway.Command) (map[string]any, error) {
	p.note("do")
	return nil, p.answer(&p.do)
}

func (p *pump) Remember(m gateway.Memory) {
	data, _ := m.Load()
	p.note("remember:" + string(data))
}

type memory string

func (m memory) Load() ([]byte, error) { return []byte(m), nil }
func (memory) Save([]byte) error       { return nil }

var errGone = fmt.Errorf("no answer: %w", gateway.ErrUnavailable)

// keep is a keeper of p.
func keep(p *pump, changes ...func(*KeeperOptions)) *Keeper {
	type config struct{}
	driver := entry("pump", func(config) (*pump, error) { return p, nil })
	o := KeeperOptions{Driver: driver, Config: &config{}, Memory: memory("42")}
	for _, change := range changes {
		change(&o)
	}
	return NewKeeper(o)
}

func wantJournal(t *testing.T, p *pump, want string) {
	t.Helper()
	if got, _ := p.get(); got != want {
		t.Errorf("asked: %s\nwant:  %s", got, want)
	}
}
