package rules

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/health"
)

// tell tells the beginning or the end of the alert of a rule, if it is due. That it
// has begun is written down before, so that its end is told whatever happens.
func (e *Engine) tell(l *live) {
	active := l.machine.on && l.Alert != ""
	if active == l.announced || active && e.kept < l.change {
		return
	}
	l.announced = active
	a := gateway.Alert{Device: e.opts.Self, ID: l.ID, Active: active, Text: l.Alert, Time: e.opts.Clock.Now(), Values: e.valuesOf(l)}
	err := e.opts.Alerts.Alert(context.Background(), a, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		l.told = active
		e.note()
	})
	if err != nil {
		e.log.Warn("the alert of a rule is lost", "rule", l.ID, "active", active, "error", err)
	}
}

// valuesOf are those that a rule goes by, as far as they can be sent.
func (e *Engine) valuesOf(l *live) map[string]gateway.Value {
	values := make(map[string]gateway.Value)
	for _, in := range l.inputs {
		v, came := e.opts.Board.Get(in.device, in.quantity)
		if !came || !finite(v.Value) {
			continue
		}
		value := v.Value
		if text, ok := value.Text(); ok && len(text) > maxAlertText {
			value = gateway.Text(strings.ToValidUTF8(text[:maxAlertText], ""))
		}
		values[in.name] = value
	}
	return values
}

// report states what is wrong with a rule. The words stay the same while it does.
func (e *Engine) report(l *live, now time.Time) {
	code := "rule:" + l.ID
	problem, severity := l.trouble(now)
	if problem == "" {
		e.opts.Health.Clear(code)
		return
	}
	e.opts.Health.Raise(code, severity, "rule "+l.ID+": "+problem)
}

// trouble says what is wrong with a rule, the worst of it.
func (l *live) trouble(now time.Time) (problem string, severity health.Severity) {
	if l.machine.isSuspended(now) {
		return fmt.Sprintf("it began %d times within a minute and is left alone for %v; look for rules that undo each other, or give it until, for or min_interval",
			l.MaxPerMinute, suspension), health.Error
	}
	if l.silent {
		return l.why + l.consequence(), health.Warning
	}
	if l.hand == nil {
		return "", ""
	}
	_, problem, _ = l.hand.state()
	return problem, health.Warning
}

// consequence says what a silence has led to.
func (l *live) consequence() string {
	if l.hand == nil {
		return ""
	}
	device := l.target()
	switch l.settled {
	case safe:
		return fmt.Sprintf("; device %s is taken to its safe state", device)
	case otherwise:
		return fmt.Sprintf("; device %s is as otherwise says", device)
	case doing:
		return fmt.Sprintf("; device %s stays as it is", device)
	default:
		return ""
	}
}

// reportWaiting states that rules wait for the time, or the position.
func (e *Engine) reportWaiting() {
	var waiting []string
	for _, l := range e.rules {
		if strings.Contains(l.why, whyClock) || strings.Contains(l.why, whyPosition) {
			waiting = append(waiting, l.ID)
		}
	}
	if waiting == nil {
		e.opts.Health.Clear(ConditionWaiting)
		return
	}
	e.opts.Health.Raise(ConditionWaiting, health.Warning, fmt.Sprintf(
		"the time, or the position, is not known, so that rules which go by it wait: %s", strings.Join(waiting, ", ")))
}

// clear takes back what was stated.
func (e *Engine) clear() {
	for _, l := range e.rules {
		e.opts.Health.Clear("rule:" + l.ID)
	}
	e.opts.Health.Clear(ConditionWaiting)
}
