package gpioinput

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// tally is the count of a counter. The memory, if there is one, has a count that
// is never above it.
type tally struct {
	memory gateway.Memory // nil if the count ends with the process

	saving sync.Mutex // held for a save, so that none overtakes another

	mu     sync.Mutex // guards the rest
	loaded bool
	count  uint64
	saved  uint64
	at     time.Time // when it was saved, or loaded
}

// record is what the memory holds.
type record struct {
	Count uint64 `json:"count"`
}

// load brings the count back, the first time. What is no count, as of another
// driver that had a device of this name, counts as none.
func (t *tally) load() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.loaded || t.memory == nil {
		return nil
	}
	data, err := t.memory.Load()
	if err != nil {
		return fmt.Errorf("the count so far cannot be read: %w", err)
	}
	count := parse(data)
	t.count, t.saved, t.loaded, t.at = t.count+count, count, true, time.Now()
	return nil
}

// parse reads what save writes.
func parse(data []byte) uint64 {
	var r record
	if json.Unmarshal(data, &r) != nil {
		return 0
	}
	return r.Count
}

func (t *tally) add(n uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count += n
}

// now is the count, and how much of it is safe.
func (t *tally) now() (count, safe uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.memory == nil {
		return t.count, t.count
	}
	return t.count, t.saved
}

// due reports whether it is time to save the count.
func (t *tally) due(every time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Since(t.at) >= every
}

// save makes the count safe, if it is not.
func (t *tally) save() error {
	t.saving.Lock()
	defer t.saving.Unlock()
	count, safe := t.now()
	if count == safe {
		return nil
	}
	data, err := json.Marshal(record{Count: count})
	if err != nil {
		return fmt.Errorf("save the count %d: %w", count, err)
	}
	if err := t.memory.Save(data); err != nil {
		return fmt.Errorf("the count %d cannot be saved: %w", count, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.saved, t.at = count, time.Now()
	return nil
}
