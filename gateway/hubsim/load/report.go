package load

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// Report is what came of the load.
type Report struct {
	Gateways int `json:"gateways"`
	// Connected is how many were connected at the end, Peak at most.
	Connected int `json:"connected"`
	Peak      int `json:"peak"`
	// Connects counts CONNACKs, Refused failed attempts, Lost connections that
	// the other side has ended.
	Connects uint64 `json:"connects"`
	Refused  uint64 `json:"refused"`
	Lost     uint64 `json:"lost"`
	// Sent counts messages, Acknowledged their PUBACKs. A message that was not
	// acknowledged before a connection was lost is sent again, which is Repeated.
	Sent         uint64        `json:"sent"`
	Acknowledged uint64        `json:"acknowledged"`
	Repeated     uint64        `json:"repeated"`
	Commands     uint64        `json:"commands"`
	Time         time.Duration `json:"-"`
	// LastError is the last of what went wrong, "" if nothing did.
	LastError string `json:"last_error,omitempty"`

	connecting, acknowledging histogram
}

// PerSecond is how many messages a second were acknowledged.
func (r Report) PerSecond() float64 { return float64(r.Acknowledged) / r.Time.Seconds() }

// String is the report for people.
func (r Report) String() string {
	s := fmt.Sprintf(`gateways      %d, at most %d connected at once, %d at the end
connects      %d, %d refused, %d lost; %s
messages      %d sent, %d acknowledged, %d repeated; %.0f per second
PUBACK after  %s
commands      %d
`, r.Gateways, r.Peak, r.Connected, r.Connects, r.Refused, r.Lost, &r.connecting,
		r.Sent, r.Acknowledged, r.Repeated, r.PerSecond(), &r.acknowledging, r.Commands)
	if r.LastError != "" {
		s += "last error    " + r.LastError + "\n"
	}
	return s
}

// String lists percentiles.
func (h *histogram) String() string {
	if h.total == 0 {
		return "none"
	}
	return fmt.Sprintf("half within %v, 95%% %v, 99%% %v, all %v",
		round(h.percentile(0.5)), round(h.percentile(0.95)), round(h.percentile(0.99)), round(h.max))
}

func round(d time.Duration) time.Duration {
	if d > 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

// MarshalJSON writes the report with its times in seconds.
func (r Report) MarshalJSON() ([]byte, error) {
	type plain Report
	return json.Marshal(struct {
		plain
		Seconds       float64            `json:"seconds"`
		PerSecond     float64            `json:"per_second"`
		Connecting    map[string]float64 `json:"connect_seconds"`
		Acknowledging map[string]float64 `json:"puback_seconds"`
	}{plain(r), r.Time.Seconds(), r.PerSecond(), r.connecting.seconds(), r.acknowledging.seconds()})
}

func (h *histogram) seconds() map[string]float64 {
	return map[string]float64{
		"p50": h.percentile(0.5).Seconds(), "p95": h.percentile(0.95).Seconds(), "p99": h.percentile(0.99).Seconds(), "max": h.max.Seconds(),
	}
}

// tally is the report while it grows.
type tally struct {
	mu sync.Mutex
	Report
}

func (t *tally) note(do func(*Report)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	do(&t.Report)
}

func (t *tally) snapshot() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.Report
}
