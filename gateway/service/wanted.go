package service

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// wantedOptions of a wanted. All but Log are required.
type wantedOptions struct {
	// File is where it is remembered what has been done.
	File string
	// Twin reports whether there is an upstream that wants something. Without one
	// nothing is done.
	Twin func() bool
	// Judge says why a command cannot be for a state that lasts; nil if it can.
	Judge func(cmd gateway.Command) error
	// Do carries a command out and waits for its final state.
	Do func(ctx context.Context, cmd gateway.Command) (gateway.Result, error)
	// News is told when there is something new to report. It does not wait.
	News func()
	Log  *slog.Logger
}

// wanted brings outputs into the state that the hub wants them to have. What is new
// becomes a command, once: not again when the hub says the same at the next
// connection, nor after a start, which has made the outputs safe. What is not wanted
// any more moves nothing.
type wanted struct {
	opts wantedOptions
	// changed tells Run that there may be something to do.
	changed chan struct{}

	mu     sync.Mutex
	record wantedRecord
	// rejected has what cannot be, with the reasons, as it was last desired; faults
	// are those that belong to no action.
	rejected wantedRecord
	faults   []string
	busy     map[gateway.DeviceID]bool // somebody sends commands for it
}

// newWanted goes on where the last run was.
func newWanted(o wantedOptions) *wanted {
	w := &wanted{opts: o, changed: make(chan struct{}, 1), busy: make(map[gateway.DeviceID]bool)}
	var err error
	if w.record, err = readWanted(o.File); err != nil {
		o.Log.Error("it is not known any more which outputs the hub has set; what it wants is done once more", "error", err)
	}
	return w
}

// Desire takes what the hub wants, whole: the desired property outputs.
func (w *wanted) Desire(version int64, desired any) {
	parsed, faults := parseWanted(desired)
	w.mu.Lock()
	defer w.mu.Unlock()
	next, rejected := wantedRecord{}, wantedRecord{}
	for device, actions := range parsed {
		for action, args := range actions {
			cmd := gateway.Command{Device: device, Action: action, Args: args}
			if err := w.opts.Judge(cmd); err != nil {
				rejected.put(device, action, wantedState{Version: version, Status: statusRejected, Detail: err.Error()})
				continue
			}
			state := w.record[device][action]
			if state.Command == "" || !reflect.DeepEqual(state.Args, args) {
				state = wantedState{Args: args, Version: version, Command: "desired-" + rand.Text()}
			}
			next.put(device, action, state)
		}
	}
	if !reflect.DeepEqual(next, w.record) {
		if err := next.write(w.opts.File); err != nil {
			w.opts.Log.Error("what the hub wants cannot be remembered, so it is not done", "error", err)
			next, faults = w.record, append(faults, err.Error())
		}
	}
	w.record, w.rejected, w.faults = next, rejected, faults
	w.wake()
}

func (w *wanted) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// wantedRetry is how soon a command that could not be put on record is tried again.
const wantedRetry = time.Minute

// Run sends the commands until ctx ends. Those of one device go one by one; a device
// that is stuck holds up none of the others.
func (w *wanted) Run(ctx context.Context) error {
	var senders sync.WaitGroup
	defer senders.Wait()
	retry := time.NewTicker(wantedRetry)
	defer retry.Stop()
	w.wake()
	for {
		select {
		case <-w.changed:
		case <-retry.C:
		case <-ctx.Done():
			return nil
		}
		for _, device := range w.idle() {
			senders.Go(func() { w.serve(ctx, device) })
		}
	}
}

// idle are the devices for which there is something to do, and nobody does it. They
// are busy from now on.
func (w *wanted) idle() (devices []gateway.DeviceID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.opts.Twin() {
		return nil
	}
	for device, actions := range w.record {
		if _, found := due(actions); found && !w.busy[device] {
			w.busy[device] = true
			devices = append(devices, device)
		}
	}
	return devices
}

// due is the next action that has no final state.
func due(actions map[string]wantedState) (action string, found bool) {
	for _, action := range slices.Sorted(maps.Keys(actions)) {
		if actions[action].Status == "" {
			return action, true
		}
	}
	return "", false
}

// serve sends the commands for one device until none is due.
func (w *wanted) serve(ctx context.Context, device gateway.DeviceID) {
	for {
		cmd, found := w.next(device)
		if !found {
			return
		}
		result, err := w.opts.Do(ctx, cmd)
		if errors.Is(err, gateway.ErrInvalid) {
			result, err = gateway.Result{Status: statusRejected, Detail: err.Error()}, nil
		}
		if err != nil { // the gateway stops, or has no room; it is asked again by the same id
			w.opts.Log.Info("an output that the hub has set has no final state yet", "device", device, "action", cmd.Action, "error", err)
			w.leave(device)
			return
		}
		w.finish(cmd, result)
	}
}

// next is the next command for a device. If there is none, it is not busy any more.
func (w *wanted) next(device gateway.DeviceID) (cmd gateway.Command, found bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	action, found := due(w.record[device])
	if !found {
		delete(w.busy, device)
		return cmd, false
	}
	state := w.record[device][action]
	return gateway.Command{ID: state.Command, Device: device, Action: action, Args: maps.Clone(state.Args), Origin: gateway.OriginDesired}, true
}

func (w *wanted) leave(device gateway.DeviceID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.busy, device)
}

// finish remembers how a command ended, if it is still what the hub wants.
func (w *wanted) finish(cmd gateway.Command, result gateway.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	state := w.record[cmd.Device][cmd.Action]
	if state.Command != cmd.ID {
		return
	}
	state.Status, state.Detail = result.Status, shorten(result.Detail, maxReportedText)
	w.record.put(cmd.Device, cmd.Action, state)
	if err := w.record.write(w.opts.File); err != nil {
		w.opts.Log.Error("how a command of the hub ended is not remembered; the next start finds out", "command", cmd.ID, "error", err)
	}
	w.opts.News()
}

// reportedOutput is what became of one wanted state.
type reportedOutput struct {
	// Version of the desired properties in which it was new.
	Version int64          `json:"version"`
	Status  gateway.Status `json:"status"`
	Detail  string         `json:"detail,omitempty"`
}

const (
	// statusPending is a wanted state whose command has no final state yet.
	statusPending gateway.Status = "pending"
	// statusRejected is one that cannot be; no command was made of it.
	statusRejected gateway.Status = "rejected"
)

// Reported tells what became of all that is wanted, by device and action, and what is
// wrong elsewhere.
func (w *wanted) Reported() (outputs map[string]map[string]reportedOutput, faults []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	outputs = make(map[string]map[string]reportedOutput)
	for _, record := range []wantedRecord{w.record, w.rejected} {
		for device, actions := range record {
			key := escapeKey(string(device))
			if outputs[key] == nil {
				outputs[key] = make(map[string]reportedOutput)
			}
			for action, state := range actions {
				one := reportedOutput{state.Version, state.Status, shorten(state.Detail, maxReportedText)}
				if one.Status == "" {
					one.Status = statusPending
				}
				outputs[key][escapeKey(action)] = one
			}
		}
	}
	return outputs, slices.Clone(w.faults)
}
