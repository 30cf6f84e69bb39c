package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/durable"
)

// settingsRecord is the file in which settings outlive a restart. What the hub
// has sent stands in it as it came.
type settingsRecord struct {
	Format int `json:"v"`
	// Version of the desired properties that the settings in force came with.
	Version int64          `json:"version"`
	InForce map[string]any `json:"in_force"`
	// By is the command that has set them; empty: the desired properties have. Heard is
	// what these were then: until they are others, the command counts.
	By    string         `json:"by,omitempty"`
	Heard map[string]any `json:"heard,omitempty"`
	// Probation is there until the settings in force have proved themselves.
	Probation *probation `json:"probation,omitempty"`
	// Failed did not, and are not tried again.
	Failed *failedSettings `json:"failed,omitempty"`
}

// probation is what it takes to go back.
type probation struct {
	// Before is what was in force before.
	Before map[string]any `json:"before"`
	// By and Heard belong to that.
	By    string         `json:"by,omitempty"`
	Heard map[string]any `json:"heard,omitempty"`
	// Starts counts the starts of the gateway since.
	Starts int `json:"starts"`
}

type failedSettings struct {
	Settings map[string]any `json:"settings"`
	Reason   string         `json:"reason"`
}

const settingsFormat = 1

// readSettings gives an empty record if there is no file, or no path to one.
func readSettings(path string) (settingsRecord, error) {
	empty := settingsRecord{InForce: map[string]any{}}
	if path == "" {
		return empty, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return empty, nil
	}
	if err != nil {
		return empty, fmt.Errorf("settings: %w", err)
	}
	var r settingsRecord
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return empty, fmt.Errorf("settings: %s: %w: %w", path, err, gateway.ErrInvalid)
	}
	if r.Format != settingsFormat {
		return empty, fmt.Errorf("settings: %s has version %d, want %d: %w", path, r.Format, settingsFormat, gateway.ErrInvalid)
	}
	if r.InForce == nil {
		r.InForce = map[string]any{}
	}
	return r, nil
}

func (r settingsRecord) write(path string) error {
	r.Format = settingsFormat
	data, err := json.Marshal(r)
	if err == nil {
		err = durable.Replace(path, append(data, '\n'), 0o640)
	}
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	return nil
}

// alike reports whether two settings are the same.
func alike(a, b map[string]any) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}

// hasFailed reports whether raw has been tried and rolled back.
func (r settingsRecord) hasFailed(raw map[string]any) bool {
	return r.Failed != nil && reflect.DeepEqual(r.Failed.Settings, raw)
}
