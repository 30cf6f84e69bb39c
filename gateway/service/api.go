package service

import (
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/command"
	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/gateway/uplink"
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
	Upstream     uplink.Stats       `json:"upstream"`
	Queue        storeforward.Stats `json:"queue"`
	Devices      []DeviceStatus     `json:"devices"`
	Commands     command.Stats      `json:"commands"`
	Memory       MemoryStatus       `json:"memory"`
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
	Latest   []LatestReading  `json:"latest,omitempty"`
	Actions  []gateway.Action `json:"actions,omitempty"`
}

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
