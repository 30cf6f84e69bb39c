package pipeline

import (
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

// parcel is a message of so many bytes with as many readings as its number.
func parcel(number, bytes int) sealed {
	return sealed{message: gateway.Message{Body: make([]byte, bytes)}, readings: number}
}

func numbers(list []sealed) (n []int) {
	for _, s := range list {
		n = append(n, s.readings)
	}
	return n
}

func expect(t *testing.T, what string, got []sealed, want ...int) {
	t.Helper()
	n := numbers(got)
	if len(n) != len(want) {
		t.Fatalf("%s: %v, want %v", what, n, want)
	}
	for i := range n {
		if n[i] != want[i] {
			t.Fatalf("%s: %v, want %v", what, n, want)
		}
	}
}

func TestOutboxDropsTheOldest(t *testing.T) {
	o := outbox{maxBytes: 100}
	expect(t, "room", o.put(parcel(1, 40)))
	expect(t, "room", o.put(parcel(2, 40)))
	expect(t, "over by 20", o.put(parcel(3, 40)), 1)
	expect(t, "over by 50", o.put(parcel(4, 70)), 2, 3)
	expect(t, "larger than all", o.put(parcel(5, 500)), 4)
	expect(t, "left", o.waiting, 5)
	expect(t, "clear", o.clear(), 5)
	if o.bytes != 0 {
		t.Errorf("%d bytes of nothing", o.bytes)
	}
}

func TestOutboxKeepsWhatIsLent(t *testing.T) {
	o := outbox{maxBytes: 100}
	for n := 1; n <= 4; n++ {
		o.put(parcel(n, 25))
	}
	expect(t, "lent", o.lend(2), 1, 2)
	expect(t, "the oldest that is not lent goes", o.put(parcel(5, 25)), 3)
	expect(t, "all that is not lent goes", o.put(parcel(6, 100)), 4, 5)
	o.settle(false)
	expect(t, "after a refusal", o.waiting, 1, 2, 6)
	expect(t, "now the bound holds again", o.put(parcel(7, 10)), 1, 2, 6)
	o.put(parcel(8, 10))
	o.lend(1)
	o.settle(true)
	expect(t, "after a success", o.waiting, 8)
	if o.bytes != 10 {
		t.Errorf("%d bytes, want 10", o.bytes)
	}
}

func TestLoanIsBounded(t *testing.T) {
	o := outbox{maxBytes: 1 << 30}
	for n := 1; n <= 100; n++ {
		o.put(parcel(n, 10))
	}
	if n := len(o.lend(maxGroupMessages)); n != maxGroupMessages {
		t.Errorf("%d messages lent", n)
	}
	o.clear()
	o.lent = 0
	o.put(parcel(1, maxGroupBytes+1))
	o.put(parcel(2, maxGroupBytes/2))
	o.put(parcel(3, maxGroupBytes/2))
	o.put(parcel(4, 1))
	expect(t, "a large one goes alone", o.lend(maxGroupMessages), 1)
	o.settle(true)
	expect(t, "up to the bound", o.lend(maxGroupMessages), 2, 3)
}
