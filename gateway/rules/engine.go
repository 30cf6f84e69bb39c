package rules

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/expression"
	"github.com/fieldpost/fieldpost/gateway/health"
)

const (
	// maxSilence is what the heart of an Engine promises.
	maxSilence = time.Minute
	// lookEvery bounds the time in which a step of the clock goes unnoticed.
	lookEvery = 5 * time.Second
)

// ConditionWaiting stands while rules do not know what time it is, or where they are.
const ConditionWaiting = "rules-waiting"

// Engine has the rules of a config at work.
type Engine struct {
	opts Options
	log  *slog.Logger
	// news has it look at the rules; changed has the memory written.
	news, changed chan struct{}

	mu    sync.Mutex // guards the rest
	rules []*live
	// change numbers what has changed of the memory, and kept is the last change that
	// has been written.
	change, kept uint64
	// machine runs the conditions.
	machine expression.Machine
	// former is the engine of the config before; gone are former rules whose alerts
	// have been told and not ended.
	former  *Engine
	remains Remains
	gone    []string
	// position is the last one that was known.
	position   Position
	positioned bool
	// run names this start of the board in the ids of commands, and last is the
	// number in the last of them.
	run  string
	last int64
	// seen is the moment of the last look, but for its time, which counts from the
	// last look at all rules.
	seen present
}

// NewEngine returns an Engine that works while Run does.
func NewEngine(o Options) (*Engine, error) {
	if o.Set == nil || o.Board == nil || o.Clock == nil || o.Commands == nil || o.Safety == nil || o.Alerts == nil || o.Actions == nil || o.Memory == nil {
		return nil, errors.New("rules: an engine needs a set, a board, a clock, commands, safety, alerts, actions and a memory")
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Health = cmp.Or(o.Health, health.NewBoard(o.Log))
	if o.Outputs == nil {
		o.Outputs = func(gateway.DeviceID) map[string]gateway.Value { return nil }
	}
	if o.Position == nil {
		o.Position = func() (Position, bool) { return Position{}, false }
	}
	e := &Engine{
		opts: o, log: o.Log, news: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		run: runOf(o.Clock),
	}
	now := time.Now()
	for _, r := range o.Set.rules {
		l := newLive(r, now)
		if r.do != nil || r.otherwise != nil {
			l.hand = newHand(e, r.ID)
		}
		e.rules = append(e.rules, l)
	}
	return e, nil
}

// Inherit has the engine go on, when it is run, with what the engine of the config
// before knows; that one must not be run any more then. A rule whose config has not
// changed goes on as if nothing had happened; of another one with the same id, its
// state and its alert go on, and its command is given anew, as of one whose device does
// not stay at work. What a rule that is gone has moved takes its safe state.
func (e *Engine) Inherit(from *Engine, remains Remains) {
	e.former, e.remains = from, remains
}

// Run works until ctx ends. Outputs are left as they are.
func (e *Engine) Run(ctx context.Context) error {
	e.resume()
	heart := e.opts.Health.Heart("rules", maxSilence)
	defer e.opts.Health.Remove(heart)
	watcher := e.opts.Board.Watch()
	defer watcher.Close()
	var helpers sync.WaitGroup
	defer helpers.Wait()
	helpers.Go(func() { e.keep(ctx) })
	for _, l := range e.rules {
		if l.hand != nil {
			helpers.Go(func() { l.hand.run(ctx) })
		}
	}
	e.endGone(ctx)
	for ctx.Err() == nil {
		heart.Beat()
		e.wait(ctx, watcher.News(), e.look())
	}
	e.clear()
	return nil
}

// wait ends when there is news, or so late.
func (e *Engine) wait(ctx context.Context, values <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-values:
	case <-e.news:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// poke has the rules looked at soon.
func (e *Engine) poke() {
	select {
	case e.news <- struct{}{}:
	default:
	}
}

// look takes all rules a step further, and returns for how long there is nothing
// to do.
func (e *Engine) look() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.present()
	due := p.now.Add(lookEvery)
	anew := p.differs(&e.seen)
	if anew {
		e.seen = *p
	}
	for _, l := range e.rules {
		switch {
		case !anew && !l.concerned(p):
		case l.momentary():
			l.due = l.moments(e, p)
		default:
			l.due = e.advance(l, p)
		}
		due = earlier(due, l.due)
		e.tell(l)
		e.report(l, p.now)
	}
	e.reportWaiting()
	return max(due.Sub(p.now), time.Millisecond)
}

// concerned tells whether it is time to look at a rule, or values that have come could
// be news for it.
func (l *live) concerned(p *present) bool {
	if !l.due.IsZero() && !p.now.Before(l.due) {
		return true
	}
	return len(l.inputs) > 0 && (!l.momentary() || l.why != "")
}

// present is the moment. A position that was once known stays so.
func (e *Engine) present() *present {
	if at, known := e.opts.Position(); known {
		e.position, e.positioned = at, true
	}
	return &present{
		now: time.Now(), wall: e.opts.Clock.Now(), trusted: e.opts.Clock.Trusted(),
		position: e.position, positioned: e.positioned, zone: e.opts.Set.zone,
	}
}

// advance takes a rule with a state a step further, and has done what follows.
func (e *Engine) advance(l *live, p *present) (due time.Time) {
	c, due := l.judge(e, p)
	switch c {
	case began:
		l.fired++
		l.lastFired = p.now
		e.log.Info("a rule has begun", "rule", l.ID, "when", l.inWords())
	case ended:
		e.log.Info("a rule has ended", "rule", l.ID)
	case suspended:
		e.log.Error("a rule begins too often and is suspended", "rule", l.ID, "for", suspension)
	}
	if c == began || c == ended {
		l.change = e.note()
	}
	e.settle(l, c)
	return earlier(due, e.again(l, p))
}

// resume takes up what an earlier run, or the engine before, has left.
func (e *Engine) resume() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.recall()
	if e.former != nil {
		e.succeed(e.former, e.remains)
		e.former, e.remains = nil, nil // of no use any more
	}
}

// runOf names a start of the board; if the kernel does not, this start of the
// engine.
func runOf(c Clock) string {
	boot := strings.ReplaceAll(c.Boot(), "-", "")
	if len(boot) >= 8 {
		return boot[:8]
	}
	return strings.ToLower(rand.Text()[:8])
}
