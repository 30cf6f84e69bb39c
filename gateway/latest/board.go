// Package latest knows the latest value of each quantity of each device: what
// rules and interlocks decide by.
package latest

import (
	"strings"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// MaxQuantities bounds what a Board knows of one device; what is beyond is not
// taken in.
const MaxQuantities = 1024

// Value is the latest reading of a quantity.
type Value struct {
	gateway.Reading
	// Came is when it came in, by the monotonic clock.
	Came time.Time
}

// Board has the latest values. It is safe for concurrent use. Make it with
// NewBoard.
type Board struct {
	mu       sync.RWMutex
	devices  map[gateway.DeviceID]map[string]Value
	watchers map[*Watcher]struct{}
}

// NewBoard returns a Board that knows nothing yet.
func NewBoard() *Board {
	return &Board{devices: make(map[gateway.DeviceID]map[string]Value), watchers: make(map[*Watcher]struct{})}
}

// Put takes readings in. Their devices are filled in.
func (b *Board) Put(readings ...gateway.Reading) {
	if len(readings) == 0 {
		return
	}
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range readings {
		values := b.devices[r.Device]
		if values == nil {
			values = make(map[string]Value)
			b.devices[r.Device] = values
		}
		if _, known := values[r.Name]; known || len(values) < MaxQuantities {
			values[r.Name] = Value{r, now}
		}
	}
	for w := range b.watchers {
		w.tell()
	}
}

// Forget takes all values of a device away, such as those of one that is no more.
func (b *Board) Forget(device gateway.DeviceID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.devices, device)
	for w := range b.watchers {
		w.tell()
	}
}

// Get is the latest value of a quantity; ok is false if none has come.
func (b *Board) Get(device gateway.DeviceID, quantity string) (v Value, ok bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	v, ok = b.devices[device][quantity]
	return v, ok
}

// Watcher is told that values have come.
type Watcher struct {
	board *Board
	news  chan struct{}
}

// Watch returns a Watcher, to be closed.
func (b *Board) Watch() *Watcher {
	w := &Watcher{board: b, news: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watchers[w] = struct{}{}
	return w
}

// News receives once for one or more changes since it last did.
func (w *Watcher) News() <-chan struct{} { return w.news }

// Close ends the watching.
func (w *Watcher) Close() {
	w.board.mu.Lock()
	defer w.board.mu.Unlock()
	delete(w.board.watchers, w)
}

func (w *Watcher) tell() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// Split parts the name that an expression uses, device.quantity, by the devices
// that there are; of several that would fit, the longest counts, since both parts
// may have dots. ok is false if none fits.
func Split(name string, devices func(gateway.DeviceID) bool) (device gateway.DeviceID, quantity string, ok bool) {
	for end := len(name) - 1; end > 0; end-- {
		if name[end] == '.' && devices(gateway.DeviceID(name[:end])) && end < len(name)-1 {
			return gateway.DeviceID(name[:end]), name[end+1:], true
		}
	}
	unknown, _, _ := strings.Cut(name, ".")
	return gateway.DeviceID(unknown), "", false
}
