package service

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/clock"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

// The reported properties of the twin: what back ends can see, and query,
// without asking the gateway.
type (
	// reportedState is all of them.
	reportedState struct {
		Gateway    reportedGateway              `json:"gateway"`
		Conditions map[string]reportedCondition `json:"conditions"`
		Devices    map[string]reportedDevice    `json:"devices"`
		Settings   Verdict                      `json:"settings"`
		// Outputs tell what became of those that the hub wants, by device and action.
		Outputs map[string]map[string]reportedOutput `json:"outputs,omitempty"`
		// OutputFaults are what of the desired property outputs has not the right form.
		OutputFaults []string `json:"output_faults,omitempty"`
		// LeftOut is true if there is more than a twin can hold.
		LeftOut bool `json:"left_out,omitempty"`
	}
	reportedGateway struct {
		ID      string    `json:"id"`
		Version string    `json:"version"`
		Commit  string    `json:"commit,omitempty"`
		Boot    string    `json:"boot,omitempty"`
		Started time.Time `json:"started"`
		// Actions are what it can be asked to do itself.
		Actions map[string]string `json:"actions,omitempty"`
	}
	reportedCondition struct {
		Severity health.Severity `json:"severity"`
		Summary  string          `json:"summary,omitempty"`
		Since    time.Time       `json:"since"`
	}
	reportedDevice struct {
		Driver string `json:"driver"`
		State  string `json:"state"`
		Reason string `json:"reason,omitempty"`
		// Every is how often it is polled, after settings; empty if it is not.
		Every string    `json:"every,omitempty"`
		Since time.Time `json:"since,omitzero"`
		// Actions are what the hub can ask it to do, with their arguments as in
		// "on=true|false [ms=1..5000]".
		Actions map[string]string `json:"actions,omitempty"`
	}
)

// twin is the gateway as its hub knows it.
type twin struct {
	*Service
}

// Urgent tells that there is a new verdict on settings, or that an output is set.
func (t twin) Urgent() <-chan struct{} { return t.remote.Changed() }

// desired is what the hub asks for: the desired properties of a version.
type desired struct {
	version    int64
	properties map[string]any
}

// Desire is told what the gateway should be like.
func (t twin) Desire(version int64, properties map[string]any) {
	t.desiring.Lock()
	defer t.desiring.Unlock()
	t.desired = &desired{version, properties}
	t.obey()
}

// refit has what the hub asks for count with another config: what was wrong with the
// one before may be right by now.
func (s *Service) refit(to settable) {
	s.desiring.Lock()
	defer s.desiring.Unlock()
	s.remote.Refit(to)
	s.obey()
}

// obey does what the hub asks for, as far as that is new. The caller holds desiring.
func (s *Service) obey() {
	if s.desired != nil {
		s.remote.Desire(s.desired.version, s.desired.properties["settings"])
		s.wanted.Desire(s.desired.version, s.desired.properties["outputs"])
	}
}

// Limits that keep the state within what a hub takes: 32 kB altogether, 4 kB a
// text. The JSON form is longer than what the hub counts.
const (
	maxReportedBytes = 30 << 10
	maxReportedText  = 200
)

// Reported is the state of the gateway. If it is too much for a twin, actions are
// left out first, then reasons, then the devices that do well, then all of them.
func (t twin) Reported() map[string]any {
	state := t.state()
	for _, less := range []func(){
		func() {},
		func() { state.LeftOut = true; state.dropActions() },
		state.dropTexts,
		func() { state.keepDevices(func(d reportedDevice) bool { return d.State != "good" }) },
		func() { state.keepDevices(func(reportedDevice) bool { return false }) },
		func() { state.Conditions, state.Outputs = nil, nil },
	} {
		less()
		if object, size := toObject(state); size <= maxReportedBytes {
			return object
		}
	}
	return nil // what is left takes some 3 kB
}

func toObject(state reportedState) (object map[string]any, size int) {
	data, _ := json.Marshal(state) // texts, times and booleans always encode
	_ = json.Unmarshal(data, &object)
	return object, len(data)
}

func (s *reportedState) dropActions() {
	s.Gateway.Actions = nil
	for id, d := range s.Devices {
		d.Actions = nil
		s.Devices[id] = d
	}
}

func (s *reportedState) dropTexts() {
	for code, c := range s.Conditions {
		c.Summary = ""
		s.Conditions[code] = c
	}
	for id, d := range s.Devices {
		d.Reason = ""
		s.Devices[id] = d
	}
	for _, actions := range s.Outputs {
		for action, o := range actions {
			o.Detail = ""
			actions[action] = o
		}
	}
}

func (s *reportedState) keepDevices(keep func(reportedDevice) bool) {
	for id, d := range s.Devices {
		if !keep(d) {
			delete(s.Devices, id)
		}
	}
}

func (t twin) state() reportedState {
	state := reportedState{
		Gateway: reportedGateway{
			ID: t.id, Version: t.build.Version, Commit: t.build.Commit, Boot: clock.BootID(), Started: toSecond(moment(t.started, time.Now())),
			Actions: usages(itself(t).Actions()),
		},
		Conditions: make(map[string]reportedCondition), Devices: make(map[string]reportedDevice),
		Settings: t.remote.Verdict(),
	}
	state.Outputs, state.OutputFaults = t.wanted.Reported()
	for _, c := range t.conditions() {
		state.Conditions[escapeKey(c.Code)] = reportedCondition{
			Severity: c.Severity, Summary: shorten(c.Summary, maxReportedText), Since: toSecond(c.Since),
		}
	}
	tunings := t.remote.Tunings()
	for _, d := range slices.Concat(t.deviceStatus(), t.sceneStatus()) {
		one := reportedDevice{Driver: d.Driver, State: d.State, Reason: shorten(d.Reason, maxReportedText), Since: toSecond(d.Since), Actions: usages(d.Actions)}
		if every := tunings[d.ID].pace.Every; every > 0 {
			one.Every = every.String()
		}
		state.Devices[escapeKey(string(d.ID))] = one
	}
	return state
}

// usages are the actions that the hub may ask for, in the form of the twin.
func usages(actions []gateway.Action) map[string]string {
	list := make(map[string]string, len(actions))
	for _, a := range actions {
		if a.Allowed != nil && !slices.Contains(a.Allowed, "hub") {
			continue
		}
		list[escapeKey(a.Name)] = shorten(a.Usage(), maxReportedText)
	}
	return list
}

// toSecond leaves out what only makes reports longer.
func toSecond(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// makeRemote puts the settings of the last run in force. Those of a hub need an
// upstream that can change them.
func (s *Service) makeRemote(a *assembly) {
	s.remote = newRemote(remoteOptions{
		File: filepath.Join(a.config.Gateway.DataDir, "settings.json"), Hub: a.config.takesSettings(), settable: a.settable(), CA: s.ca, Now: s.clock.Now,
		Linked: func() bool { return linked(s.now().link.sender.Stats(), time.Now()) }, Health: s.health, Log: s.log,
	})
}

// settable is what settings can be for.
func (a *assembly) settable() settable {
	return settable{Scope: a.config.scope(), Devices: a.tunables(), Probation: a.config.Settings.Probation}
}

// renewal is how long a connection that is being made anew, as tokens want it,
// may be away. One that was lost has an error.
const renewal = 30 * time.Second

func linked(st uplink.Stats, now time.Time) bool {
	return st.Connected || st.LastError == "" && now.Sub(st.Since) < renewal
}

// takesSettings tells whether the upstream has a twin, by which settings come.
func (l *Loaded) takesSettings() bool {
	spec := l.upstream
	return spec.kind.twin != nil && spec.kind.twin(spec.config)
}

// tunables are the devices that can be set.
func (a *assembly) tunables() map[gateway.DeviceID]tunable {
	all := make(map[gateway.DeviceID]tunable)
	for _, d := range a.devices {
		source, is := d.source.(processed)
		if !is {
			continue
		}
		one := tunable{base: d.spec.tuning(), source: d.source, setProcessing: source.SetProcessing}
		if p, is := d.source.(paced); is {
			one.setPace = p.SetPace
		}
		all[d.id] = one
	}
	return all
}
