package trials

import (
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/storeforward"
	"github.com/fieldpost/fieldpost/storeforward/trials/disk"
)

// TestAPowerCutAmidASalvageLosesNothing of a store that was set aside, nor of
// the one that goes on.
func TestAPowerCutAmidASalvageLosesNothing(t *testing.T) {
	d, dir := mounted(t, disk.Options{Size: diskBytes})
	cuts, amid, messages := 0, 0, 0
	c := newCourt(filepath.Join(dir, "queue"))
	for range max(1, rounds(t, 15)/5) {
		w := c.start(t)
		waitFor(t, "a backlog", func() bool { return c.acceptedSoFar() > 3000 || w.dead() })
		w.kill()
		c = c.setAside(t)
		owed := len(c.owed)
		messages += owed
		for cut := range 5 {
			w := c.start(t)
			waitFor(t, "a store", func() bool { return c.isOpen() || w.dead() })
			time.Sleep(rand.N(time.Duration(cut+1) * 30 * time.Millisecond)) // the moment is drawn by lot
			if err := d.Cut(rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), w.kill); err != nil {
				t.Fatal(err)
			}
			cuts++
			if !c.isSalvaged() {
				amid++
			}
			if err := d.Mount(dir); err != nil {
				t.Fatal(err)
			}
			c.reopened()
		}
		w = c.start(t)
		waitFor(t, "the end of the salvage", func() bool { return c.isSalvaged() || w.dead() })
		wantAlive(t, w)
		w.kill()
		broken := c.judge()
		for _, id := range c.holds.Old {
			delete(c.owed, id)
		}
		if len(c.owed) > 0 {
			c.breaks("%d messages of %d of the store that was set aside are gone: %v; gaps: %v", len(c.owed), owed, slices.Collect(maps.Keys(c.owed)), c.holds.Gaps)
			broken = c.broken
		}
		if len(broken) > 0 {
			t.Fatalf("%q", broken)
		}
	}
	t.Logf("%d cuts, %d of them amid a salvage, of %d messages", cuts, amid, messages)
}

// setAside has the store salvaged at the next start. It returns the court that
// judges the new one and knows what is owed of the old one.
func (c *court) setAside(t *testing.T) *court {
	t.Helper()
	if broken := c.judge(); len(broken) > 0 {
		t.Fatalf("%q", broken)
	}
	if _, err := storeforward.Quarantine(c.dir); err != nil {
		t.Fatal(err)
	}
	next := newCourt(c.dir)
	next.commands = c.commands
	for _, lane := range lanes {
		for _, seq := range c.holds.Lanes[lane].Seqs {
			if !c.lanes[lane].acked[seq] { // else whether it is there again is open
				next.owed[gateway.MessageID{Lane: lane, Seq: seq}] = true
			}
		}
	}
	return next
}

func (c *court) isOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

func (c *court) isSalvaged() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.salvaged
}

// reopened: what was said of the store's being open and salvaged no longer holds.
func (c *court) reopened() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open, c.salvaged = false, false
}
