package gpiochip

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// event is what the kernel writes for one edge.
func event(at time.Duration, kind, seq uint32) []byte {
	var b bytes.Buffer
	e := unix.GPIOV2LineEvent{Timestamp_ns: uint64(at), Id: kind, Offset: 17, Seqno: seq, Line_seqno: seq}
	if err := binary.Write(&b, binary.NativeEndian, &e); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// pipe is a line whose events come from the test.
func pipe(t *testing.T) (*line, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l := &line{name: "test", file: r, now: monotonic}
	t.Cleanup(func() { _, _ = l.Close(), w.Close() })
	return l, w
}

func TestEdgesAsTheKernelWritesThem(t *testing.T) {
	l, w := pipe(t)
	ours := time.Now()
	l.now = func() (time.Duration, time.Time) { return 10 * time.Second, ours }
	if _, err := w.Write(append(event(9*time.Second, unix.GPIO_V2_LINE_EVENT_RISING_EDGE, 7), event(10*time.Second, unix.GPIO_V2_LINE_EVENT_FALLING_EDGE, 8)...)); err != nil {
		t.Fatal(err)
	}
	into := make([]Edge, 4)
	n, err := l.Edges(t.Context(), time.Now(), into) // what is there is taken although its time is over
	if err != nil || n != 2 {
		t.Fatalf("%d edges: %v", n, err)
	}
	want := []Edge{{Active: true, At: ours.Add(-time.Second), Seq: 7}, {Active: false, At: ours, Seq: 8}}
	for i, e := range want {
		if into[i] != e {
			t.Errorf("edge %d: %+v, want %+v", i, into[i], e)
		}
	}
}

func TestWaitsEnd(t *testing.T) {
	l, w := pipe(t)
	into := make([]Edge, 1)
	if n, err := l.Edges(t.Context(), time.Now().Add(time.Millisecond), into); n != 0 || err != nil {
		t.Errorf("until a moment: %d %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	if _, err := l.Edges(ctx, time.Time{}, into); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if _, err := l.Edges(ctx, time.Time{}, into); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled before: %v", err)
	}
	time.AfterFunc(time.Millisecond, func() { _, _ = w.Write(event(0, unix.GPIO_V2_LINE_EVENT_RISING_EDGE, 1)) })
	if n, err := l.Edges(t.Context(), time.Time{}, into); n != 1 || err != nil {
		t.Errorf("after a wait that was canceled: %d %v", n, err)
	}
	time.AfterFunc(time.Millisecond, func() { _ = l.Close() })
	if _, err := l.Edges(t.Context(), time.Time{}, into); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("closed: %v", err)
	}
}

func TestWhatIsNoEventIsAnError(t *testing.T) {
	for name, raw := range map[string][]byte{
		"half": event(0, unix.GPIO_V2_LINE_EVENT_RISING_EDGE, 1)[:20],
		"kind": event(0, 3, 1),
	} {
		l, w := pipe(t)
		if _, err := w.Write(raw); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Edges(t.Context(), time.Time{}, make([]Edge, 1)); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(event(1, unix.GPIO_V2_LINE_EVENT_RISING_EDGE, 1), 1)
	f.Add(append(event(1, unix.GPIO_V2_LINE_EVENT_FALLING_EDGE, 1<<32-1), event(2, 9, 0)...), 5)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, raw []byte, room int) {
		into := make([]Edge, min(max(room, 0), 100))
		n, err := decode(raw, into, func(d time.Duration) time.Time { return time.Unix(0, int64(d)) })
		if n < 0 || n > len(into) || n > len(raw)/eventSize || err == nil && n == 0 && len(into) > 0 {
			t.Errorf("%d of %d edges from %d bytes: %v", n, len(into), len(raw), err)
		}
	})
}

func TestRequestsInTheTermsOfTheKernel(t *testing.T) {
	for _, c := range []struct {
		config Config
		flags  uint64
		values uint64 // of an output
	}{
		{Config{}, 0, 0},
		{Config{ActiveLow: true, Pull: PullUp}, 0x2, 0}, // as it is: no pull without a direction
		{Config{Direction: Input}, 0x4, 0},
		{Config{Direction: Input, Pull: PullUp, Edges: BothEdges}, 0x134, 0},
		{Config{Direction: Input, Pull: PullDown, Edges: ActiveEdges, ActiveLow: true}, 0x216, 0},
		{Config{Direction: Input, Pull: PullNone}, 0x404, 0},
		{Config{Direction: Output, Level: true}, 0x8, 1},
		{Config{Direction: Output, ActiveLow: true}, 0xa, 0},
	} {
		c.config.Consumer = "a name that is longer than the kernel has room for"
		r := c.config.request(17)
		if r.Config.Flags != c.flags || r.Num_lines != 1 || r.Offsets[0] != 17 || r.Consumer[30] == 0 || r.Consumer[31] != 0 {
			t.Errorf("%+v: %+v", c.config, r)
		}
		a := r.Config.Attrs[0]
		if output := c.config.Direction == Output; output != (r.Config.Num_attrs == 1) ||
			output && (a.Mask != 1 || a.Attr.Id != unix.GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES || a.Attr.Flags != c.values) {
			t.Errorf("%+v: values %+v", c.config, a)
		}
		if edges := c.config.Edges != NoEdges; edges != (r.Event_buffer_size == EventBuffer) {
			t.Errorf("%+v: room for %d edges", c.config, r.Event_buffer_size)
		}
	}
}

// TestFilesThatAreNoChips: /dev/null takes the calls and does not know them.
func TestFilesThatAreNoChips(t *testing.T) {
	if _, err := readChip(os.DevNull); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("read: %v", err)
	}
	if _, err := readChip("/dev/no-such-chip"); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("missing: %v", err)
	}
	if _, err := (Kernel{}).Request("null", 0, Config{}); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("request: %v", err)
	}
	l, _ := pipe(t)
	if _, err := l.Level(); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("level: %v", err)
	}
	for range 2 { // by SET_CONFIG, both times: the first has not worked
		if err := l.Drive(true); !errors.Is(err, gateway.ErrUnavailable) || l.config.Direction == Output {
			t.Errorf("drive: %v", err)
		}
	}
}
