package link

import "testing"

// TestMemory: how sessions relate to each other.
func TestMemory(t *testing.T) {
	m := NewMemory()
	m.Chance(0xFFFF)
	for i, c := range []struct {
		number, last uint16
		start        Start
		fresh        bool
	}{
		{0xFFFF, 0, Booted, true}, // the first of all
		{1, 0xFFFF, Booted, false},
		{2, 1, Resumed, false},
		{3, 9, Taken, false},
		{4, 0, Booted, false},
		{5, 4, Resumed, false},
	} {
		if a, b := m.propose(), m.propose(); a != c.number || b != c.number {
			t.Errorf("session %d has the number %d, then %d, want %d", i, a, b, c.number)
		}
		if start, fresh := m.agree(Hello{Last: c.last}); start != c.start || fresh != c.fresh {
			t.Errorf("session %d begins by %v, %v, want %v, %v", i, start, fresh, c.start, c.fresh)
		}
	}
	m = NewMemory()
	for i, want := range []Start{Taken, Taken, Resumed} {
		last := m.propose() - 1
		if start, _ := m.agree(Hello{Last: last}); start != want {
			t.Errorf("session %d of a gateway that was started anew begins by %v, want %v", i, start, want)
		}
	}
}
