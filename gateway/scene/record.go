package scene

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// record is what a scene keeps of its last run: what the journal does not know.
type record struct {
	// Command is the id of the run, Plan is the hash of its plan.
	Command string `json:"command"`
	Plan    string `json:"plan"`
	// Until is when the time of its steps is over, by the uptime of the board in Boot.
	Boot  string        `json:"boot,omitempty"`
	Until time.Duration `json:"until"`
	// Steps has, by their numbers, those that were decided upon: pauses that are
	// over, conditions, and what was not done.
	Steps map[int]gateway.Status `json:"steps,omitempty"`
}

// statusTaken is a step whose condition was true. Its command tells the rest.
const statusTaken gateway.Status = "taken"

// hash tells plans apart.
func (c *Plan) hash() string {
	text, _ := json.Marshal(c) // texts and durations always encode
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// recall reads the record of a run that had been begun.
func (s *scene) recall(cmd gateway.Command) (record, error) {
	data, err := s.memory.Load()
	if err != nil {
		return record{}, fmt.Errorf("not gone on with after the restart: %w", err)
	}
	var r record
	switch err := json.Unmarshal(data, &r); {
	case err != nil || r.Command != cmd.ID:
		return record{}, fmt.Errorf("not gone on with after the restart, since there is no record of how far it was: %w", gateway.ErrUnavailable)
	case r.Plan != s.plan.hash():
		return record{}, fmt.Errorf("not gone on with after the restart, since the scene has been changed: %w", gateway.ErrUnavailable)
	}
	return r, nil
}

func (s *scene) remember(r record) error {
	data, _ := json.Marshal(r) // texts always encode
	return s.memory.Save(data)
}
