package storeforward

import (
	"encoding/binary"
	"hash/fnv"
	"sync"
	"time"
)

// stamp is when a group was accepted, by both clocks of the board. The wall
// clock may be wrong, the other one is exact but ends with the boot.
type stamp struct {
	wall   int64         // microseconds since 1970; 0 while the clock was not to be trusted
	boot   uint32        // which boot; 0 if unknown
	uptime time.Duration // since that boot, to the microsecond
}

func (s stamp) append(buf []byte) []byte {
	buf = binary.AppendVarint(buf, s.wall)
	buf = binary.AppendUvarint(buf, uint64(s.boot))
	return binary.AppendVarint(buf, s.uptime.Microseconds())
}

func (d *decoder) stamp() stamp {
	return stamp{wall: d.varint(), boot: uint32(d.uvarint()), uptime: time.Duration(d.varint()) * time.Microsecond}
}

// ages tells how old messages are, without ever making them older than they
// are. Goroutines may share it.
type ages struct {
	clock  Clock
	boot   uint32
	opened time.Duration // uptime at which the store was opened

	mu sync.Mutex
	// anchor is the first trusted time of this run; the wall clock may be
	// stepped later.
	anchor       time.Time
	anchorUptime time.Duration
	// latest is the newest trusted time that the store knows.
	latest int64
}

func newAges(clock Clock) *ages {
	a := &ages{clock: clock, opened: clock.Uptime()}
	if id := clock.Boot(); id != "" {
		h := fnv.New32a()
		_, _ = h.Write([]byte(id)) // never fails
		a.boot = max(1, h.Sum32())
	}
	return a
}

// stamp is the present.
func (a *ages) stamp() stamp {
	s := stamp{boot: a.boot, uptime: a.clock.Uptime().Truncate(time.Microsecond)}
	if a.clock.Trusted() {
		s.wall = a.clock.Now().UnixMicro()
	}
	return s
}

// saw notes the stamp of a message that was found in the store.
func (a *ages) saw(s stamp) {
	a.mu.Lock()
	a.latest = max(a.latest, s.wall)
	a.mu.Unlock()
}

// doubtful is how far ahead of everything in the store a new boot's clock may
// be before it is not believed: no board is left without power for that long.
const doubtful = 400 * 24 * time.Hour

// of is how old what was stamped is at least. Within one boot it is exact,
// whatever the wall clock does. Beyond that the wall clock counts, if it is
// trusted and has not made a leap; what the store has held since it was opened
// counts in any case.
func (a *ages) of(s stamp) time.Duration {
	uptime := a.clock.Uptime()
	if s.boot != 0 && s.boot == a.boot {
		return uptime - s.uptime
	}
	held := uptime - a.opened
	if s.wall == 0 || !a.clock.Trusted() {
		return held
	}
	now := a.clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.anchor.IsZero() {
		a.anchor, a.anchorUptime = now, uptime
	}
	if a.latest != 0 && a.anchor.Sub(time.UnixMicro(a.latest)) > doubtful {
		return held
	}
	accepted := time.UnixMicro(s.wall)
	byAnchor := a.anchor.Add(uptime - a.anchorUptime).Sub(accepted)
	return max(held, min(now.Sub(accepted), byAnchor))
}
