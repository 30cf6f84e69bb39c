package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// settingsAction sets what the desired property settings sets, in the same form.
func settingsAction() gateway.Action {
	return gateway.Action{
		Name: actionSettings, Idempotent: true,
		Help: "Lays settings over the config, as the desired property settings does: in place of those before, on probation, until the hub asks for others. {} goes back to the config.",
		Args: []gateway.Arg{{
			Name: "json", Type: gateway.ArgText, Required: true, MaxBytes: maxSettingsBytes,
			Help: `for example {"devices":{"air":{"every":"5m"}}}`,
		}},
	}
}

// maxSettingsBytes is what a hub takes as desired properties.
const maxSettingsBytes = 32 << 10

// set lays settings over the config.
func (g itself) set(cmd gateway.Command) (map[string]any, error) {
	text, _ := cmd.Args["json"].(string)
	var raw map[string]any
	if err := json.Unmarshal([]byte(text), &raw); err != nil || raw == nil {
		return nil, fmt.Errorf("json: want an object of settings, such as {\"devices\":{\"air\":{\"every\":\"5m\"}}}: %w", errors.Join(err, gateway.ErrDenied))
	}
	probation, err := g.remote.Set(cmd.ID, raw, g.now().config.takesSettings())
	if err != nil {
		return nil, err
	}
	if probation == 0 {
		return map[string]any{"changed": false}, nil
	}
	return map[string]any{"changed": true, "probation": probation.String()}, nil
}

// Set lays settings over the config that a command asks for, and says how long they
// have to prove themselves; zero: they were in force already. They are in force until
// the hub asks for others than it did when they came: the last one wins. CAs are for
// who has a hub.
func (r *remote) Set(command string, raw map[string]any, hub bool) (probation time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.record.hasFailed(raw) {
		return 0, fmt.Errorf("these settings were rolled back, ask for others: %s: %w", r.record.Failed.Reason, gateway.ErrDenied)
	}
	parsed, faults := r.opts.Scope.parse(raw, r.opts.Now())
	if parsed.ca != nil && !hub {
		faults = append(faults, "settings.ca: is for an upstream of type iothub")
	}
	if len(faults) > 0 {
		return 0, fmt.Errorf("%s: %w", strings.Join(rejected(0, faults).Errors, "; "), gateway.ErrDenied)
	}
	if alike(raw, r.record.InForce) {
		return 0, nil
	}
	next := settingsRecord{Version: r.record.Version, InForce: raw, By: command, Heard: r.heard()}
	if err := r.change(next); err != nil {
		return 0, err
	}
	r.apply(parsed)
	r.verdict = r.overridden(r.verdict.Version)
	r.opts.Log.Info("settings of a command applied", "command", command, "devices", len(parsed.devices), "ca", parsed.ca != nil, "probation", r.opts.Probation)
	r.news()
	return r.opts.Probation, nil
}

// heard is what the hub has asked for last.
func (r *remote) heard() map[string]any {
	switch {
	case r.desired != nil:
		return r.desired
	case r.record.By != "":
		return r.record.Heard
	case r.record.Failed != nil:
		return r.record.Failed.Settings
	}
	return r.record.InForce
}

// overridden is the verdict while the settings of a command count.
func (r *remote) overridden(version int64) Verdict {
	return Verdict{Version: version, Status: SettingsOverridden, By: r.record.By}
}

// restartAction stops the gateway, for systemd to start it again.
func restartAction() gateway.Action {
	return gateway.Action{
		Name: actionRestart, Resumable: true, Timeout: restartTime,
		Help: "Stops the gateway in order, and systemd starts it again; done once it has.",
	}
}

// restartTime is how long a stop may take to begin.
const restartTime = 30 * time.Second

// restart asks for a stop. The command has its final state after the start: it has
// been begun by then.
func (g itself) restart(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	if cmd.Resumed {
		return map[string]any{"started": toSecond(g.started).Format(time.RFC3339)}, nil
	}
	if os.Getenv("INVOCATION_ID") == "" {
		return nil, fmt.Errorf("this gateway was not started by systemd, so that nobody would start it again: %w", gateway.ErrDenied)
	}
	select {
	case g.again <- cmd.ID:
	default: // somebody else was first
	}
	select {
	case <-g.now().control.dispatcher.Stopping():
		return nil, fmt.Errorf("the gateway stops, to be started again: %w", context.Canceled)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
