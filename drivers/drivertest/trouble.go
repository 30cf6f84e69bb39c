package drivertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// notOpen: a device that is not open says so.
func notOpen(b *bench) {
	if _, err := b.use(b.t.Context()); err == nil {
		b.t.Error("before Open: no error")
	}
	b.good()
	b.close()
	if _, err := b.use(b.t.Context()); err == nil {
		b.t.Error("after Close: no error")
	}
}

// missing: nobody is there, when it is opened and when it is used.
func missing(b *bench) {
	want := b.good()
	b.close()
	gone := func() error { return b.rig.absent() }
	b.rig.before(gone)
	if err := b.open(); !errors.Is(err, gateway.ErrUnavailable) {
		b.t.Errorf("Open without a chip: %v, want gateway.ErrUnavailable", err)
	}
	b.rig.before(b.step)
	b.again(want)
	b.rig.before(gone)
	if _, err := b.use(b.t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
		b.t.Errorf("used without a chip: %v, want gateway.ErrUnavailable", err)
	}
	b.rig.before(b.step)
	b.again(want)
}

// missingOnce: the chip is away for each single transaction in turn.
func missingOnce(b *bench) {
	want := b.good()
	eachCut(b, "no answer to one transaction", want, b.rig.absent)
}

// powerLoss: the chip loses its power before each single transaction in turn,
// and between two calls.
func powerLoss(b *bench) {
	want := b.good()
	eachCut(b, "the power is lost", want, func() error {
		b.rig.power()
		return nil
	})
}

// eachCut makes trouble at each transaction of a call in turn.
func eachCut(b *bench, what string, want map[string]gateway.Reading, trouble func() error) {
	for n := 1; n < many; n++ {
		b.cutAt(n, trouble)
		got, err := b.use(b.t.Context())
		if b.count() < n {
			break // it makes no more than n-1
		}
		b.cutAt(0, nil)
		when := fmt.Sprintf("%s, number %d of a call", what, n)
		b.same(when, got, want)
		if err != nil && !errors.Is(err, gateway.ErrUnavailable) { // it is not opened anew
			got, _ = b.use(b.t.Context())
			b.same("the next call after "+when, got, want)
		}
		b.again(want)
	}
	b.cutAt(0, nil)
}

// stuck: a transaction does not come back. It is given up, the bus is reported,
// and all is well when it is back.
func stuck(b *bench) {
	want := b.good()
	release := make(chan struct{})
	b.rig.before(func() error { <-release; return nil })
	got, err := b.use(b.t.Context())
	if !errors.Is(err, gateway.ErrTimeout) && !errors.Is(err, gateway.ErrUnavailable) {
		b.t.Errorf("on a bus that is stuck: %v", err)
	}
	b.same("on a bus that is stuck", got, want)
	if b.told() == nil {
		b.t.Error("nobody is told that the bus is stuck")
	}
	b.close()
	if err := b.open(); !errors.Is(err, gateway.ErrUnavailable) {
		b.t.Errorf("opened on a bus that is stuck: %v", err)
	}
	close(release)
	b.rig.before(b.step)
	time.Sleep(time.Second) // it comes to its end
	if problem := b.told(); problem != nil {
		b.t.Errorf("the bus is back, but still reported: %v", problem)
	}
	b.again(want)
}

// garbage is what a loose wire or a chip without power makes of an answer.
var garbage = map[string]func(answer []byte){
	"ones":  func(answer []byte) { fill(answer, 0xff) },
	"zeros": func(answer []byte) { fill(answer, 0x00) },
	"short": func(answer []byte) { fill(answer[len(answer)/2:], 0xff) },
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

// garbled: each answer is garbage, when it is used and when it is opened.
func garbled(b *bench, spoil func(answer []byte)) {
	want := b.good()
	b.rig.garble(spoil)
	b.nonsense("each answer is garbage", want)
	b.close()
	if b.open() == nil {
		b.nonsense("opened while each answer is garbage", want)
	}
	b.rig.garble(nil)
	b.again(want)
}

// nonsense wants an error and no value that counts as good.
func (b *bench) nonsense(when string, want map[string]gateway.Reading) {
	b.t.Helper()
	got, err := b.use(b.t.Context())
	if err == nil {
		b.t.Errorf("%s: no error, but %v", when, got)
	}
	b.same(when, got, want)
}

// flipped: one bit of one answer is wrong, which a checksum must notice.
func flipped(b *bench) {
	want := b.good()
	for bit := range 8 {
		at := bit
		b.rig.garble(func(answer []byte) { answer[at%len(answer)] ^= 1 << bit })
		b.nonsense(fmt.Sprintf("bit %d of each answer is wrong", bit), want)
		b.rig.garble(nil)
		b.again(want)
	}
}

// stranger: another chip is at the address.
func stranger(b *bench, names []string) {
	b.rig.strangers()
	err := b.open()
	if err == nil {
		_, err = b.use(b.t.Context())
	}
	if err == nil {
		b.t.Fatal("another chip is at the address: no error")
	}
	for _, name := range names {
		if !strings.Contains(err.Error(), name) {
			b.t.Errorf("another chip is at the address: %v; want it to name %s", err, name)
		}
	}
}

// cancelled: a context that is over, and one that ends while the chip works.
func cancelled(b *bench) {
	want := b.good()
	for after := time.Duration(0); after <= time.Second; after = 2*after + 200*time.Microsecond {
		ctx, cancel := context.WithTimeout(b.t.Context(), after)
		begun := time.Now()
		got, err := b.use(ctx)
		cancel()
		if late := time.Since(begun) - after; late > 300*time.Millisecond {
			b.t.Errorf("with %v left it has taken %v longer", after, late)
		}
		if err == nil && after == 0 {
			b.t.Error("with a context that is over: no error")
		}
		b.same("while it is cancelled", got, want)
		if got, err = b.use(b.t.Context()); err != nil {
			b.t.Errorf("after it was cancelled: %v", err)
		}
		b.same("after it was cancelled", got, want)
	}
}

// times is how often a device is used to see whether it leaks.
const times = 10000

// leaks: after ten thousand calls there is no more memory and no more open files
// in use than after a thousand. (Goroutines are counted by synctest: the test
// does not end before they do.)
func leaks(b *bench) {
	want := b.good()
	var memory uint64
	var files int
	for n := range times {
		if n == times/10 {
			memory, files = held()
		}
		got, err := b.use(b.t.Context())
		if err != nil || len(got) != len(want) {
			b.t.Fatalf("call %d: %v (%v)", n, got, err)
		}
	}
	after, filesAfter := held()
	if after > memory+64<<10 {
		b.t.Errorf("it holds %d bytes after %d calls, %d after %d", after, times, memory, times/10)
	}
	if filesAfter > files {
		b.t.Errorf("%d files are open, %d were", filesAfter, files)
	}
	for range 100 {
		b.again(want)
	}
}

// held is the memory in use and how many files are open.
func held() (memory uint64, files int) {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	open, _ := os.ReadDir("/proc/self/fd")
	return stats.HeapAlloc, len(open)
}
