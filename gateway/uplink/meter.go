package uplink

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway/clock"
)

// MeterOptions of a Meter. Without a Plan nothing is required.
type MeterOptions struct {
	// File keeps what the month has used over restarts; empty: nothing does.
	File string
	Plan Plan
	// Clock tells the month. As long as it is not trusted, a month goes on.
	Clock clock.Clock
	Log   *slog.Logger
}

// Meter counts the bytes of one upstream by purpose, since the start and in
// the month of its data plan. It is safe for concurrent use; a nil Meter
// counts nothing.
type Meter struct {
	opts MeterOptions
	log  *slog.Logger

	mu  sync.Mutex
	all tally // since the start
	// The month has used earlier, in runs before this one, and what all has
	// grown by since mark.
	earlier, mark tally
	begins, ends  time.Time
}

// NewMeter returns a Meter that goes on where its file ends. A file that
// cannot be used is logged, and the month begins at zero.
func NewMeter(o MeterOptions) (*Meter, error) {
	if err := o.Plan.validate(); err != nil {
		return nil, err
	}
	if o.Plan.Monthly > 0 && o.Clock == nil {
		return nil, errors.New("uplink: a data plan needs a clock")
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	m := &Meter{opts: o, log: o.Log}
	if o.File == "" {
		return m, nil
	}
	b, err := readBook(o.File)
	if err != nil {
		m.log.Warn("what the data plan has used is not known, the month begins at zero", "error", err)
		return m, nil
	}
	m.earlier, m.begins = tallyOf(b.Bytes), b.Begins
	if !m.begins.IsZero() {
		_, m.ends = o.Plan.month(m.begins)
	}
	return m, nil
}

// Socket counts bytes that the socket has carried, whatever they are for.
func (m *Meter) Socket(in, out int) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all.socket.In += uint64(in)
	m.all.socket.Out += uint64(out)
}

// Packet says what some of the bytes on the socket are for. Those for the
// connection need not be told: they are what is left.
func (m *Meter) Packet(p Purpose, in, out int) {
	if m == nil || p == ForConnection {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all.packets[p].In += uint64(in)
	m.all.packets[p].Out += uint64(out)
}

// Bytes are those since the start, by purpose.
func (m *Meter) Bytes() Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all.usage()
}

// written is what has left: all bytes, and those of messages from the queue.
func (m *Meter) written() (all, messages uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all.socket.Out, m.all.packets[ForTelemetry].Out + m.all.packets[ForRecords].Out
}

// Planned reports whether there is a data plan.
func (m *Meter) Planned() bool { return m.plan().Monthly > 0 }

func (m *Meter) plan() Plan {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.opts.Plan
}

// SetPlan changes the plan. What the month has used counts on; without a plan before,
// it begins at zero. Senders that go by the plan are to be made anew.
func (m *Meter) SetPlan(p Plan) error {
	if err := p.validate(); err != nil {
		return err
	}
	if p.Monthly > 0 && m.opts.Clock == nil {
		return errors.New("uplink: a data plan needs a clock")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.opts.Plan.Monthly == 0 {
		m.earlier, m.mark, m.begins, m.ends = tally{}, m.all, time.Time{}, time.Time{}
	}
	if m.opts.Plan = p; !m.begins.IsZero() {
		_, m.ends = p.month(m.begins)
	}
	return nil
}

// Standing is how the month stands against the plan.
func (m *Meter) Standing() Standing {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.opts.Plan
	used := m.month()
	return Standing{
		State: p.state(used.socket.Sum()), Used: used.socket.Sum(), Monthly: p.Monthly,
		ThinAt: uint64(p.ThinAt * float64(p.Monthly)), Begins: m.begins, Resets: m.ends, Bytes: used.usage(),
	}
}

// State is what the plan demands now.
func (m *Meter) State() PlanState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.opts.Plan.state(m.month().socket.Sum())
}

// Thinning is the window to thin readings by; 0 while they pass as they come.
// A plan that is to thin at all of it never does.
func (m *Meter) Thinning() time.Duration {
	plan := m.plan()
	if m.State() == PlanFree || plan.ThinAt >= 1 {
		return 0
	}
	return plan.ThinWindow
}

// month is what the month has used. The caller holds mu.
func (m *Meter) month() tally {
	m.turn()
	return m.earlier.plus(m.all.minus(m.mark))
}

// turn begins a new month if it is time. A clock that turns out to have been
// ahead gives the month its right name and takes no byte back.
func (m *Meter) turn() {
	if m.opts.Plan.Monthly == 0 || !m.opts.Clock.Trusted() {
		return
	}
	now := m.opts.Clock.Now()
	if !now.Before(m.begins) && now.Before(m.ends) {
		return
	}
	before := m.begins
	m.begins, m.ends = m.opts.Plan.month(now)
	if before.IsZero() || m.begins.Before(before) {
		return
	}
	m.earlier, m.mark = tally{}, m.all
	m.log.Info("a new month of the data plan has begun", "monthly_bytes", m.opts.Plan.Monthly, "resets", m.ends)
}

// saveEvery bounds what a crash makes the month forget.
const saveEvery = 10 * time.Minute

// Run keeps the file up to date until ctx ends, and once more then, while there is a
// plan. It returns nil.
func (m *Meter) Run(ctx context.Context) error {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		if m.opts.File != "" && m.Planned() {
			m.save()
		}
	}
	return nil
}

func (m *Meter) save() {
	m.mu.Lock()
	b := book{Begins: m.begins, Bytes: m.month().usage()}
	m.mu.Unlock()
	if err := b.write(m.opts.File); err != nil {
		m.log.Warn("what the data plan has used is not kept over a restart", "error", err)
	}
}
