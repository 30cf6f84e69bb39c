package iothub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/durable"
)

// assignment is what the provisioning service has said: which device of which
// hub a registration is. It is kept in a file, so that the service is not needed
// at each start.
type assignment struct {
	Version int `json:"v"`
	// Service, Scope and Registration say whose it is.
	Service      string `json:"service"`
	Scope        string `json:"id_scope"`
	Registration string `json:"registration_id"`
	Hub          string `json:"hub"` // perhaps with :port
	Device       string `json:"device"`
	// Certificate is the SHA-256 of the one that the board came with, in hex; the
	// service makes it that of the device.
	Certificate string `json:"certificate,omitempty"`
}

const assignmentVersion = 1

// maxAssignmentBytes bounds the file; it takes some 300 bytes.
const maxAssignmentBytes = 64 << 10

// readAssignment gives nil if there is no file. The error of a file that cannot
// be used says what is wrong with it.
func readAssignment(path string) (*assignment, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && info.Size() > maxAssignmentBytes {
		err = fmt.Errorf("%s has %d bytes: %w", path, info.Size(), gateway.ErrInvalid)
	}
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	a, err := parseAssignment(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return a, nil
}

func parseAssignment(data []byte) (*assignment, error) {
	var a assignment
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return nil, fmt.Errorf("%w: %w", err, gateway.ErrInvalid)
	}
	if a.Version != assignmentVersion {
		return nil, fmt.Errorf("version %d, want %d: %w", a.Version, assignmentVersion, gateway.ErrInvalid)
	}
	if _, err := newIdentity(a.Hub, a.Device, "8883"); err != nil {
		return nil, fmt.Errorf("%w: %w", err, gateway.ErrInvalid)
	}
	return &a, nil
}

func (a assignment) write(path string) error {
	a.Version = assignmentVersion
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	return durable.Replace(path, append(data, '\n'), 0o640)
}
