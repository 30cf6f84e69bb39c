package bus

import (
	"os"
	"path/filepath"
	"testing"
)

// on is a config with these places.
type on []Place

func (o on) Places() []Place { return o }

// TestPresent: only a device file that is missing makes a device absent, be it
// that of its bus.
func TestPresent(t *testing.T) {
	shm, err := os.MkdirTemp("/dev/shm", "fieldpost-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(shm) })
	there, missing := filepath.Join(shm, "ttyUSB0"), filepath.Join(shm, "ttyUSB1")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := New(Options{Configs: map[string]any{"field": on{{At: there}}, "yard": on{{At: missing}}}})
	for _, c := range []struct {
		config any
		want   bool
	}{
		{struct{}{}, true},
		{on{}, true},
		{on{{At: "GPIO17"}}, true},
		{on{{At: there}}, true},
		{on{{At: missing}}, false},
		{on{{At: there}, {At: missing}}, false},
		{on{{Bus: "field", At: "unit 7"}}, true},
		{on{{Bus: "yard", At: "unit 7"}}, false},
		{on{{Bus: "i2c-1", Kind: KindI2C, At: "0x76"}}, true},
		{on{{Bus: "nowhere", At: "7"}}, true},
	} {
		if got := s.Present(c.config); got != c.want {
			t.Errorf("%v: %v, want %v", c.config, got, c.want)
		}
	}
}
