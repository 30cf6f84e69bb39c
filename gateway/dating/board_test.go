package dating_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/dating"
)

var (
	build = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	truth = time.Date(2027, 3, 5, 12, 0, 0, 0, time.UTC) // when a test begins
)

// board is a board in the hands of a test: time passes as the test says.
type board struct {
	boot  string
	start time.Time // of this boot, in truth
	up    time.Duration
	knows bool          // what time it is
	off   time.Duration // by how much that is wrong
	card  card
}

func newBoard() *board { return &board{boot: "b1", start: truth, up: time.Minute} }

func (b *board) Boot() string          { return b.boot }
func (b *board) Uptime() time.Duration { return b.up }
func (b *board) Now() time.Time {
	if b.knows {
		return b.now().Add(b.off)
	}
	return gateway.Undated(b.up)
}

// now is the true time.
func (b *board) now() time.Time { return b.start.Add(b.up) }

// reboot cuts the power for so long.
func (b *board) reboot(boot string, off time.Duration) {
	*b = board{boot: boot, start: b.now().Add(off), up: 10 * time.Second, card: b.card}
}

// run starts the program.
func (b *board) run() *dating.Starts {
	return dating.NewStarts(dating.Options{Board: b, Memory: &b.card, Floor: build})
}

// card is a card that counts what it takes.
type card struct {
	data   []byte
	writes int
	broken bool
}

var errBroken = errors.New("broken")

func (c *card) Load() ([]byte, error) { return c.data, nil }

func (c *card) Save(data []byte) error {
	if c.broken {
		return errBroken
	}
	if len(data) > dating.MaxMemory {
		return gateway.ErrInvalid
	}
	c.data, c.writes = data, c.writes+1
	return nil
}

func wantWrites(t *testing.T, b *board, want int) {
	t.Helper()
	if b.card.writes != want {
		t.Errorf("%d writes, want %d", b.card.writes, want)
	}
}
