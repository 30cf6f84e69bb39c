package link

import "testing"

// TestActionsHaveNumbersOfTheirOwn: however many heartbeats there are between two of them,
// the microcontroller takes the second for the next one, not for a stale one.
func TestActionsHaveNumbersOfTheirOwn(t *testing.T) {
	s := newSession(t.Context(), 1, Hello{}, false)
	pass := func(of Type) uint16 {
		own, _ := s.enter(of)
		s.leave(own)
		return own.number
	}
	first := pass(TypeDo)
	for range 0x9000 {
		pass(TypePing)
	}
	if second := pass(TypeDo); second != first+1 {
		t.Errorf("the DO after %d is %d", first, second)
	}
	for range 0x10000 {
		if pass(TypePing) == 0 {
			t.Fatal("0 is the number of a request")
		}
	}
}
