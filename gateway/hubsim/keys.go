package hubsim

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// right is what the key of a policy is good for.
type right uint8

const (
	serviceConnect right = 1 << iota
	deviceConnect
	registryRead
	registryWrite
)

// policies are those that every hub is born with.
var policies = map[string]right{
	"iothubowner":       serviceConnect | deviceConnect | registryRead | registryWrite,
	"service":           serviceConnect,
	"device":            deviceConnect,
	"registryRead":      registryRead,
	"registryReadWrite": registryRead | registryWrite,
}

// secrets are the keys of the hub itself, made once.
type secrets struct {
	Policies map[string]string `json:"policies"` // name → key
	IDScope  string            `json:"id_scope"`
	GroupKey string            `json:"group_key"`
}

func openSecrets(dir string) (*secrets, error) {
	path := filepath.Join(dir, "keys.json")
	s := &secrets{}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, s.create(path)
	}
	if err == nil {
		err = json.Unmarshal(data, s)
	}
	for name := range policies {
		if err == nil && s.Policies[name] == "" {
			err = fmt.Errorf("policy %s has no key", name)
		}
	}
	if err == nil && (s.IDScope == "" || s.GroupKey == "") {
		err = errors.New("id_scope or group_key is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove it to get new keys", path, err)
	}
	return s, nil
}

func (s *secrets) create(path string) error {
	s.Policies = make(map[string]string, len(policies))
	for name := range policies {
		s.Policies[name] = newKey()
	}
	s.IDScope, s.GroupKey = "0ne"+randomHex(4), newKey()
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(data, '\n'), 0o600)
}

// newKey returns a symmetric key as the portal makes them: 32 bytes, base64.
func newKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return base64.StdEncoding.EncodeToString(key)
}

// validKey reports whether s is base64 of 16 to 64 bytes.
func validKey(s string) bool {
	key, err := base64.StdEncoding.DecodeString(s)
	return err == nil && len(key) >= 16 && len(key) <= 64
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
