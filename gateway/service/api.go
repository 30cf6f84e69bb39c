package service

import (
	"encoding/json"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/audit"
	"github.com/fieldpost/fieldpost/gateway/command"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/pipeline"
	"github.com/fieldpost/fieldpost/gateway/policy"
	"github.com/fieldpost/fieldpost/gateway/rules"
	"github.com/fieldpost/fieldpost/gateway/uplink"
	"github.com/fieldpost/fieldpost/gateway/uplink/upload"
	"github.com/fieldpost/fieldpost/storeforward"
)

// The types of the local API: HTTP with JSON over the Unix socket
// gateway.socket. The socket's file permissions are the access rule.

// Status is the answer to GET /v1/status: the whole gateway on one screen.
type Status struct {
	Gateway string    `json:"gateway"`
	Version string    `json:"version"`
	Commit  string    `json:"commit"`
	Started time.Time `json:"started"`
	Now     time.Time `json:"now"`
	// ClockTrusted is false while the time is earlier than it can be.
	ClockTrusted bool               `json:"clock_trusted"`
	BootID       string             `json:"boot_id,omitempty"`
	Conditions   []health.Condition `json:"conditions"`
	Upstream     UpstreamStatus     `json:"upstream"`
	Children     []ChildStatus      `json:"children,omitempty"`
	Queue        storeforward.Stats `json:"queue"`
	Devices      []DeviceStatus     `json:"devices"`
	Commands     command.Stats      `json:"commands"`
	// Rules are those of the config.
	Rules    []RuleStatus   `json:"rules,omitempty"`
	Settings SettingsStatus `json:"settings"`
	// Uploads are the files on their way.
	Uploads []upload.Upload `json:"uploads,omitempty"`
	Memory  MemoryStatus    `json:"memory"`
}

// RuleStatus is how a rule does.
type RuleStatus = rules.Status

// RuleReport is what has become of the last command of a rule.
type RuleReport = rules.Report

// RulesStatus is the answer to GET /v1/rules.
type RulesStatus struct {
	// Zone is that of times of day; Position is where the gateway is, nil if that is
	// not known.
	Zone     string          `json:"zone"`
	Position *rules.Position `json:"position,omitempty"`
	Rules    []RuleStatus    `json:"rules"`
}

// UpstreamStatus is one connection to the upstream.
type UpstreamStatus = uplink.Stats

// ChildStatus is the connection of a child. The bytes are those of the whole
// line, which all share.
type ChildStatus struct {
	Lane gateway.Lane `json:"lane"`
	UpstreamStatus
}

// SettingsStatus is what the hub has made of the config.
type SettingsStatus struct {
	Verdict
	// Devices are those with settings of the hub.
	Devices []gateway.DeviceID `json:"devices"`
	// CA is true if certificates of the hub count in place of ca_file.
	CA bool `json:"ca,omitempty"`
}

// DeviceStatus is one device: how it does and what it can be asked to do.
type DeviceStatus struct {
	ID       gateway.DeviceID `json:"id"`
	Driver   string           `json:"driver"`
	State    string           `json:"state"`
	Reason   string           `json:"reason,omitempty"`
	Since    time.Time        `json:"since,omitzero"`
	LastRead time.Time        `json:"last_read,omitzero"`
	Reads    uint64           `json:"reads"`
	Failures uint64           `json:"failures"`
	// Settings names those of the hub that are in force.
	Settings []string `json:"settings,omitempty"`
	// Processing counts what has become of the readings; nil for a pure actuator.
	Processing *ProcessingStats `json:"processing,omitempty"`
	// Alerts are those that have begun and not ended.
	Alerts []gateway.Alert `json:"alerts,omitempty"`
	// Output is how its outputs stand; nil if it takes no commands.
	Output *OutputStatus `json:"output,omitempty"`
	// Firmware is the update of its firmware that is under way; nil if there is none.
	Firmware *gateway.FirmwareUpdate `json:"firmware,omitempty"`
	Latest   []LatestReading         `json:"latest,omitempty"`
	Actions  []gateway.Action        `json:"actions,omitempty"`
}

// OutputStatus is how the outputs of a device stand.
type OutputStatus = policy.Standing

// Claim is one of the answers to GET /v1/claims: what of the hardware a device or
// a bus uses.
type Claim = bus.Claim

// ProcessingStats counts what has become of the readings of a device.
type ProcessingStats = pipeline.ProcessingStats

// LatestReading is the last value of one quantity.
type LatestReading struct {
	Name    string          `json:"name"`
	Value   gateway.Value   `json:"value"`
	Unit    string          `json:"unit,omitempty"`
	Time    time.Time       `json:"time"`
	Quality gateway.Quality `json:"quality"`
}

// MemoryStatus is the memory of the daemon.
type MemoryStatus struct {
	// RSSBytes is VmRSS, mapped files included.
	RSSBytes   int64 `json:"rss_bytes"`
	Goroutines int   `json:"goroutines"`
}

// QueuedMessage is one message in the answer to GET /v1/queue/messages.
type QueuedMessage struct {
	ID          string       `json:"id"`
	Kind        gateway.Kind `json:"kind"`
	Created     time.Time    `json:"created"`
	Correlation string       `json:"correlation,omitempty"`
	ContentType string       `json:"content_type"`
	Size        int          `json:"size"`
	Body        string       `json:"body"`
}

// ExportedMessage is one line of the answer to GET /v1/queue/export. A body
// that is valid JSON stands in it as such; any other is BodyBase64.
type ExportedMessage struct {
	ID          string          `json:"id"`
	Store       string          `json:"store"`
	Lane        gateway.Lane    `json:"lane"`
	Seq         uint64          `json:"seq"`
	Kind        gateway.Kind    `json:"kind"`
	Created     time.Time       `json:"created"`
	Correlation string          `json:"correlation,omitempty"`
	ContentType string          `json:"content_type"`
	Body        json.RawMessage `json:"body,omitempty"`
	BodyBase64  *[]byte         `json:"bodyBase64,omitempty"`
}

// WorkLine is one line of the answers to GET /v1/queue/verify and to GET
// /v1/queue/holdings: progress as often as there is some, and the result as the
// last line. One of the fields is set.
type WorkLine struct {
	Progress *Progress                  `json:"progress,omitempty"`
	Verify   *storeforward.VerifyReport `json:"verify,omitempty"`
	Holdings []audit.Holding            `json:"holdings,omitempty"`
}

// Progress says how many messages of how many have been looked at.
type Progress struct {
	Done  uint64 `json:"done"`
	Total uint64 `json:"total"`
}

// PurgeRequest is the body of POST /v1/queue/purge.
type PurgeRequest struct {
	Lane gateway.Lane `json:"lane"`
}

// Purged is the answer to it.
type Purged struct {
	Messages uint64 `json:"messages"`
}

// LettersRequest is the body of POST /v1/deadletters/retry and of POST
// /v1/deadletters/delete.
type LettersRequest struct {
	IDs []string `json:"ids"`
}

// MaxLetters bounds LettersRequest.IDs.
const MaxLetters = 100

// Retried is what became of one dead letter: it is sent again under NewID, or
// it stays because of Error.
type Retried struct {
	ID    string `json:"id"`
	NewID string `json:"new_id,omitempty"`
	Error string `json:"error,omitempty"`
}

// Deleted is the answer to POST /v1/deadletters/delete.
type Deleted struct {
	Letters int `json:"letters"`
}

// DoRequest is the body of POST /v1/do.
type DoRequest struct {
	Device gateway.DeviceID `json:"device"`
	Action string           `json:"action"`
	Args   map[string]any   `json:"args"`
}

// Fault is the body of every answer that is not a success.
type Fault struct {
	Error string `json:"error"`
}
