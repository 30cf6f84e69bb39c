package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/durable"
)

// wantedRecord has what the hub wants, by device and action.
type wantedRecord map[gateway.DeviceID]map[string]wantedState

// wantedState is what one action is to bring about, and what became of it.
type wantedState struct {
	Args map[string]any `json:"args"`
	// Version of the desired properties in which it was new.
	Version int64 `json:"version"`
	// Command is the id of the command that was made of it.
	Command string `json:"command"`
	// Status is how that ended; empty: it has not.
	Status gateway.Status `json:"status,omitempty"`
	Detail string         `json:"detail,omitempty"`
}

func (r wantedRecord) put(device gateway.DeviceID, action string, state wantedState) {
	if r[device] == nil {
		r[device] = make(map[string]wantedState)
	}
	r[device][action] = state
}

// wantedFile is its form on the card.
type wantedFile struct {
	Format  int          `json:"v"`
	Outputs wantedRecord `json:"outputs"`
}

const wantedFormat = 1

// readWanted gives an empty record if there is no file.
func readWanted(path string) (wantedRecord, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return wantedRecord{}, nil
	}
	if err != nil {
		return wantedRecord{}, fmt.Errorf("outputs: %w", err)
	}
	var file wantedFile
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return wantedRecord{}, fmt.Errorf("outputs: %s: %w: %w", path, err, gateway.ErrInvalid)
	}
	if file.Format != wantedFormat || file.Outputs == nil {
		return wantedRecord{}, fmt.Errorf("outputs: %s has version %d, want %d: %w", path, file.Format, wantedFormat, gateway.ErrInvalid)
	}
	return file.Outputs, nil
}

func (r wantedRecord) write(path string) error {
	data, err := json.Marshal(wantedFile{wantedFormat, r})
	if err == nil {
		err = durable.Replace(path, append(data, '\n'), 0o640)
	}
	if err != nil {
		return fmt.Errorf("outputs: %w", err)
	}
	return nil
}

// parseWanted reads the desired property outputs:
//
//	"outputs": {"pump": {"set": {"on": true}}}
//
// It gives all that has the right form, and what does not.
func parseWanted(desired any) (parsed map[gateway.DeviceID]map[string]map[string]any, faults []string) {
	parsed = make(map[gateway.DeviceID]map[string]map[string]any)
	fault := func(place, problem string) { faults = append(faults, fmt.Sprintf("%.200s: %s", place, problem)) }
	devices, ok := desired.(map[string]any)
	if !ok {
		if desired != nil {
			fault("outputs", "want an object of devices")
		}
		return parsed, faults
	}
	for device, value := range devices {
		actions, ok := value.(map[string]any)
		if !ok {
			fault("outputs."+device, "want an object of actions, each with an object of its arguments")
			continue
		}
		id := gateway.DeviceID(unescapeKey(device))
		parsed[id] = make(map[string]map[string]any)
		for action, value := range actions {
			args, ok := value.(map[string]any)
			if !ok {
				fault("outputs."+device+"."+action, "want an object of arguments")
				continue
			}
			own := make(map[string]any, len(args))
			for name, v := range args {
				own[unescapeKey(name)] = v
			}
			parsed[id][unescapeKey(action)] = own
		}
	}
	slices.Sort(faults)
	if len(faults) > maxVerdictErrors {
		faults = append(faults[:maxVerdictErrors], fmt.Sprintf("and %d more", len(faults)-maxVerdictErrors))
	}
	return parsed, faults
}
