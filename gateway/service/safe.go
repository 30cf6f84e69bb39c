package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/config"
	"github.com/fieldpost/fieldpost/gateway/durable"
	"github.com/fieldpost/fieldpost/gateway/latest"
	"github.com/fieldpost/fieldpost/gateway/policy"
)

// SafeState is whether an output has been brought into its safe state.
type SafeState struct {
	Device gateway.DeviceID `json:"device"`
	// Label says for people which one it is.
	Label string `json:"label"`
	// Error is why it has not; empty if it has.
	Error string `json:"error,omitempty"`
}

// SafeRequest is the body of POST /v1/safe.
type SafeRequest struct {
	// Device is the one output that is meant; empty: all.
	Device gateway.DeviceID `json:"device,omitempty"`
}

// inForceFile is a copy of the config in force, in the data directory. After a crash
// the outputs of that one are made safe, whatever has been written into the file since.
const inForceFile = "in-force.yaml"

// rememberInForce keeps a copy of the config. Without one the file itself counts.
func (s *Service) rememberInForce(l *Loaded) {
	path := filepath.Join(l.Gateway.DataDir, inForceFile)
	if before, err := os.ReadFile(path); err == nil && string(before) == string(l.text) {
		return
	}
	if err := durable.Replace(path, l.text, 0o600); err != nil {
		s.log.Warn("the config in force cannot be remembered; after a crash, `fieldpost safe` goes by the file", "error", err)
	}
}

// LoadInForce reads the config that was in force last: the copy that the gateway has
// made, or the file if there is none. Beside an error it gives what is right all the
// same, so that what can be made safe is.
func LoadInForce(path string) (*Loaded, error) {
	text, err := config.Read(path)
	l := &Loaded{}
	if err == nil {
		l, err = parse(path, text)
	}
	if l.Gateway.DataDir == "" { // nothing of the file is right
		l.Gateway = defaultGateway()
	}
	copied, missing := os.ReadFile(filepath.Join(l.Gateway.DataDir, inForceFile))
	switch {
	case errors.Is(missing, fs.ErrNotExist):
		return l, err
	case missing != nil:
		return l, errors.Join(err, fmt.Errorf("the config in force: %w", missing))
	}
	return parse(path, copied) // relative paths in it start where they did
}

// defaultGateway is the section gateway of an empty file.
func defaultGateway() GatewayConfig {
	var empty config.Section
	var c GatewayConfig
	_ = empty.Decode(&c) // it requires nothing
	return c
}

// Safe brings the outputs of a config into their safe state, or one of them: each
// before those that it leans on by its only_while, and otherwise all at the same time.
// Who takes longer than ctx is left behind, and has only its share of the time if others
// come after it. No gateway may run that has them. The error is that there is no such
// output.
func (l *Loaded) Safe(ctx context.Context, only gateway.DeviceID, log *slog.Logger) ([]SafeState, error) {
	b := l.Bench(nil, log)
	var devices []*device
	for _, spec := range l.devices {
		k := b.keep(spec)
		devices = append(devices, &device{id: gateway.DeviceID(spec.ID), spec: spec, keeper: k, can: k.Contracts()})
	}
	outputs, err := outputsOf(devices, only)
	if err != nil {
		return nil, err
	}
	var states []SafeState
	groups := inSafeOrder(outputs, devices)
	for i, group := range groups {
		share, cancel := shareOf(ctx, len(groups)-i)
		states = append(states, eachOutput(group, func(d *device) error {
			if err := d.keeper.Check(share); err != nil { // finding it brings it there
				return err
			}
			return d.keeper.Close()
		})...)
		cancel()
	}
	if err := b.buses.Close(); err != nil {
		log.Warn("a bus is left behind", "error", err)
	}
	return states, nil
}

// inSafeOrder groups outputs, among all devices, in the order in which they are to take
// their safe state.
func inSafeOrder(outputs, all []*device) [][]*device {
	p, err := policy.New(policy.Options{
		Devices: policed(all), Exists: existing(all), Latest: latest.NewBoard(), Clock: clock.NewSystem(time.Time{}),
	})
	if err != nil { // something is wrong in the config: all at once
		return [][]*device{outputs}
	}
	return inOrder(outputs, p.Order())
}

// shareOf is an equal share of the time that ctx has for so many.
func shareOf(ctx context.Context, many int) (context.Context, context.CancelFunc) {
	end, limited := ctx.Deadline()
	if !limited {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(end)/time.Duration(many))
}

// outputsOf are the devices that can be switched and have a safe state, or one of them.
func outputsOf(devices []*device, only gateway.DeviceID) (outputs []*device, err error) {
	for _, d := range devices {
		if moves(d.keeper) && (only == "" || only == d.id) {
			outputs = append(outputs, d)
		}
	}
	if only != "" && len(outputs) == 0 {
		return nil, fmt.Errorf("there is no output %q with a safe state; `fieldpost devices` lists what there is: %w", only, gateway.ErrInvalid)
	}
	return outputs, nil
}

// eachOutput does something with each output, all at the same time.
func eachOutput(outputs []*device, do func(*device) error) []SafeState {
	states := make([]SafeState, len(outputs))
	var all sync.WaitGroup
	for i, d := range outputs {
		states[i] = SafeState{Device: d.id, Label: d.spec.label()}
		all.Go(func() {
			if err := do(d); err != nil {
				states[i].Error = withoutUnavailable(err)
			}
		})
	}
	all.Wait()
	return states
}

// safe answers POST /v1/safe: the outputs take their safe state at once, past all
// commands that wait for them.
func (a *api) safe(w http.ResponseWriter, r *http.Request) {
	var req SafeRequest
	if !decode(w, r, "request", &req) {
		return
	}
	now := a.now()
	outputs, err := outputsOf(now.devices, req.Device)
	if err != nil {
		fault(w, statusOf(err), err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), outputsTime)
	defer cancel()
	states := eachOutput(outputs, func(d *device) error { return now.policy.SafeNow(ctx, d.id, "`fieldpost safe` asked for it") })
	for _, st := range states {
		a.log.Info("safe state asked for", "device", st.Device, "problem", st.Error)
	}
	answer(w, states)
}
