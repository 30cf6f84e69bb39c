package upload

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/durable"
)

// record is what is on disk of an upload.
type record struct {
	Version int `json:"v"`
	Upload
	// Number orders the uploads.
	Number uint64 `json:"number"`
	Key    string `json:"key,omitempty"`
	MD5    []byte `json:"md5"`
	// BlockBytes is the size of all blocks but the last.
	BlockBytes int64 `json:"block_bytes"`
	// Ticket is nil before the upload has begun, and when it is over.
	Ticket *Ticket `json:"ticket,omitempty"`
	// Resumed means that the storage may have blocks already.
	Resumed bool `json:"resumed,omitempty"`
	// Outcome is set when the storage is done with; the hub may have to be told.
	Outcome *Outcome `json:"outcome,omitempty"`
}

const recordVersion = 1

func (r *record) blocks() int {
	return int((r.Bytes + r.BlockBytes - 1) / r.BlockBytes)
}

// block is where block i is in the file, and what it is called. The storage
// wants ids of one length, and other uploads may write to the same name.
func (r *record) block(i int) (id string, offset, size int64) {
	offset = int64(i) * r.BlockBytes
	return fmt.Sprintf("%s-%06d", r.ID, i), offset, min(r.BlockBytes, r.Bytes-offset)
}

// directory is the spool on disk.
type directory string

func (d directory) path(id, suffix string) string { return filepath.Join(string(d), id+suffix) }

func (d directory) save(r record) error {
	r.Version = recordVersion
	data, err := json.Marshal(r)
	if err == nil {
		err = durable.Replace(d.path(r.ID, ".json"), append(data, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("upload %s: %w", r.ID, err)
	}
	return nil
}

// remove removes a file of an upload, which need not be there.
func (d directory) remove(id, suffix string) error {
	if err := os.Remove(d.path(id, suffix)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// load reads what earlier runs have left, and tidies up: what was not accepted
// goes. A record that cannot be read is set aside with its file.
func (d directory) load(complain func(string, error)) ([]record, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	var all []record
	for _, e := range entries {
		id, isRecord := strings.CutSuffix(e.Name(), ".json")
		if !isRecord {
			continue
		}
		r, err := d.read(id)
		if err != nil {
			complain("an upload cannot be read and is set aside", err)
			if err := errors.Join(os.Rename(d.path(id, ".json"), d.path(id, ".json.bad")), keepAside(d.path(id, ".data"))); err != nil {
				complain("an upload cannot be set aside", err)
			}
			continue
		}
		all = append(all, r)
	}
	d.tidy(entries, all, complain)
	return all, nil
}

func keepAside(path string) error {
	if err := os.Rename(path, path+".bad"); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// read checks that a record can be gone on with.
func (d directory) read(id string) (r record, err error) {
	data, err := os.ReadFile(d.path(id, ".json"))
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	switch {
	case err != nil:
		return r, fmt.Errorf("%s: %w", d.path(id, ".json"), err)
	case r.Version != recordVersion || r.ID != id || r.BlockBytes <= 0 || r.Bytes < 0 || CheckName(r.Name) != nil || r.Bytes/r.BlockBytes > maxBlocks:
		return r, fmt.Errorf("%s: is no upload that this version knows: %w", d.path(id, ".json"), gateway.ErrInvalid)
	}
	if r.Outcome != nil {
		return r, nil
	}
	info, err := os.Stat(d.path(id, ".data"))
	if err == nil && info.Size() != r.Bytes {
		err = fmt.Errorf("%s has %d bytes, want %d: %w", d.path(id, ".data"), info.Size(), r.Bytes, gateway.ErrInvalid)
	}
	return r, err
}

// tidy removes files that belong to nothing that still has to be sent.
func (d directory) tidy(entries []os.DirEntry, all []record, complain func(string, error)) {
	needed := make(map[string]bool)
	for _, r := range all {
		needed[r.ID+".json"] = true
		needed[r.ID+".data"] = r.Outcome == nil
	}
	for _, e := range entries {
		_, known := needed[e.Name()]
		leftover := strings.HasSuffix(e.Name(), ".part") || strings.HasSuffix(e.Name(), ".data") || strings.HasSuffix(e.Name(), ".new")
		if needed[e.Name()] || !known && !leftover {
			continue
		}
		err := os.Remove(filepath.Join(string(d), e.Name()))
		if err != nil && !errors.Is(err, os.ErrNotExist) { // set aside meanwhile
			complain("a leftover cannot be removed", err)
		}
	}
}
