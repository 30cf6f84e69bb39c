package bus

import (
	"maps"
	"sync"

	"github.com/fieldpost/fieldpost/gateway"
)

// Known is what the outputs of a device are known to be set to, by name. It waits
// for nobody, so that it can be asked while the device is being written to. The
// zero Known knows nothing. It is safe for concurrent use.
type Known struct {
	mu     sync.Mutex
	values map[string]gateway.Value
	// set counts what Know and Forget have noted.
	set uint64
}

// Know notes what an output is set to.
func (k *Known) Know(output string, value gateway.Value) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.set++
	k.know(output, value)
}

func (k *Known) know(output string, value gateway.Value) {
	if k.values == nil {
		k.values = make(map[string]gateway.Value)
	}
	k.values[output] = value
}

// Reads begins to find out what outputs are. What found is told is noted, unless
// something has been set since: then nobody knows which of them was first.
func (k *Known) Reads() (found func(output string, value gateway.Value)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.set
	return func(output string, value gateway.Value) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.set == before {
			k.know(output, value)
		}
	}
}

// Forget notes that nobody knows any more what some outputs are set to.
func (k *Known) Forget(outputs ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.set++
	for _, output := range outputs {
		delete(k.values, output)
	}
}

// ForgetAll notes that nobody knows anything.
func (k *Known) ForgetAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.set++
	clear(k.values)
}

// State is a copy of what is known.
func (k *Known) State() map[string]gateway.Value {
	k.mu.Lock()
	defer k.mu.Unlock()
	state := make(map[string]gateway.Value, len(k.values))
	maps.Copy(state, k.values)
	return state
}
