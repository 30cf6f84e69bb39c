package ingest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway"
)

func TestContract(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) any {
		d, err := New(testConfig(t))
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}

// TestOneAnswerALine, in order, also without waiting for any.
func TestOneAnswerALine(t *testing.T) {
	s := start(t, nil)
	p := s.dial(t)
	p.send(t, `{"name":"a","value":1}`+"\n"+`{"name":"b"}`+"\r\n\n"+`{"readings":[{"name":"c","value":1},{"name":"d","value":2}]}`+"\r\n")
	first := p.wantID(t)
	p.wantError(t, "line 2: ", `"value" is missing`)
	p.wantError(t, "line 3: it is empty")
	if second := p.wantID(t); first != "test-telemetry-1" || second != "test-telemetry-2" {
		t.Errorf("ids %s, %s", first, second)
	}
	if got := len(s.sink.Batches()); got != 2 || !slices.Equal(s.names(), []string{"a", "c", "d"}) {
		t.Errorf("%d messages with %v", got, s.names())
	}
}

// TestBurst: several programs with much to say, who read while they write.
func TestBurst(t *testing.T) {
	const clients, lines = 4, 5000
	var commits, largest atomic.Int64
	s := start(t, func(_ *Dev, sink *drivertest.Sink) {
		sink.Before = func(_ context.Context, batches [][]gateway.Reading) error {
			commits.Add(1)
			if n := int64(len(batches)); n > largest.Load() {
				largest.Store(n)
			}
			return nil
		}
	})
	var wg sync.WaitGroup
	for c := range clients {
		p := s.dial(t)
		wg.Go(func() {
			var text strings.Builder
			for i := range lines {
				fmt.Fprintf(&text, "{\"name\":\"c%d.%d\",\"value\":%d}\n", c, i, i)
			}
			if _, err := p.Write([]byte(text.String())); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			for range lines {
				if text, err := p.in.ReadString('\n'); err != nil || !strings.HasPrefix(text, `{"id":"test-telemetry-`) {
					t.Errorf("answer %q, %v", text, err)
					return
				}
			}
		})
	}
	wg.Wait()
	next := make(map[string]int)
	for _, name := range s.names() {
		client, number, _ := strings.Cut(name, ".")
		if number != fmt.Sprint(next[client]) {
			t.Fatalf("%s comes after %d", name, next[client]-1)
		}
		next[client]++
	}
	if got := len(s.sink.Batches()); got != clients*lines {
		t.Errorf("%d messages", got)
	}
	if n := commits.Load(); n > clients*lines/4 || largest.Load() > maxGroupLines {
		t.Errorf("%d commits, %d lines at most", n, largest.Load())
	}
}

// TestGroupsAreFull: what arrives during a sync fills the groups that follow. A
// short one would wait at the queue for others to share the next sync with.
func TestGroupsAreFull(t *testing.T) {
	const lines = 4000 // more than one read takes, and less than the kernel holds
	release := make(chan struct{})
	var mu sync.Mutex
	var sizes []int
	s := start(t, func(_ *Dev, sink *drivertest.Sink) {
		sink.Before = func(_ context.Context, batches [][]gateway.Reading) error {
			<-release
			mu.Lock()
			defer mu.Unlock()
			sizes = append(sizes, len(batches))
			return nil
		}
	})
	p := s.dial(t)
	p.send(t, strings.Repeat(`{"name":"a","value":1}`+"\n", lines))
	close(release)
	for range lines {
		p.wantID(t)
	}
	mu.Lock()
	defer mu.Unlock()
	for i, n := range sizes {
		if first, last := i == 0, i == len(sizes)-1; !first && !last && n < maxGroupLines {
			t.Errorf("group %d of %d has %d lines: %v", i+1, len(sizes), n, sizes)
		}
	}
}

func TestGroupIsBoundedInBytes(t *testing.T) {
	var largest atomic.Int64
	s := start(t, func(_ *Dev, sink *drivertest.Sink) {
		sink.Before = func(_ context.Context, batches [][]gateway.Reading) error {
			var size int64
			for _, b := range batches {
				text, _ := b[0].Value.Text()
				size += int64(len(text))
			}
			largest.Store(max(largest.Load(), size))
			return nil
		}
	})
	s.dial(t) // the socket is there: a second peer sees nothing of the start
	p := s.dial(t)
	const lines = 100
	text := strings.Repeat(`{"name":"a","value":"`+strings.Repeat("x", 10_000)+"\"}\n", lines)
	sent := make(chan error, 1)
	go func() {
		_, err := p.Write([]byte(text))
		sent <- err
	}()
	for range lines {
		p.wantID(t)
	}
	if err := <-sent; err != nil || largest.Load() > maxGroupBytes {
		t.Errorf("%v, %d bytes in one commit", err, largest.Load())
	}
}

func TestHalfLines(t *testing.T) {
	s := start(t, nil)
	p := s.dial(t)
	for _, part := range []string{`{"na`, `me":"a",`, `"value":1}`, "\n" + `{"name":"b","value":2}`} {
		p.send(t, part)
	}
	p.wantID(t)
	if err := p.CloseWrite(); err != nil { // which ends the last line too
		t.Fatal(err)
	}
	p.wantID(t)
	p.wantEnd(t)

	gone := s.dial(t)
	gone.send(t, `{"name":"c","value":3}`+"\n"+`{"name":"d","val`)
	gone.wantID(t)
	_ = gone.Close()
	s.stopped(t)
	if got := s.names(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("accepted %v", got)
	}
}

func TestLongLines(t *testing.T) {
	s := start(t, nil)
	p := s.dial(t)
	line := func(n int) string {
		const head, tail = `{"name":"a","value":1`, `}`
		return head + strings.Repeat(" ", n-len(head)-len(tail)) + tail + "\n"
	}
	sent := make(chan error, 1)
	go func() {
		_, err := p.Write([]byte(line(1<<20) + line(65536) + line(65537) + strings.TrimSuffix(line(65536), "\n") + "\r\n" + line(100)))
		sent <- err
	}()
	p.wantError(t, "line 1: it is longer than the 65536 bytes that max_line allows")
	p.wantID(t)
	p.wantError(t, "line 3: it is longer")
	p.wantID(t)
	p.wantID(t)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	p.send(t, strings.Repeat("x", 100_000)) // and no newline ever
	if err := p.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	p.wantError(t, "line 6: it is longer")
	p.wantEnd(t)
}

// TestSlowReader: a program that never reads is cut off, and holds up nobody.
func TestSlowReader(t *testing.T) {
	s := start(t, func(d *Dev, _ *drivertest.Sink) { d.patience = 300e6 })
	deaf := s.dial(t)
	cut := make(chan error, 1)
	go func() {
		line := []byte(strings.Repeat(`{"name":"a","value":1}`+"\n", 1000))
		for {
			if _, err := deaf.Write(line); err != nil {
				cut <- err
				return
			}
		}
	}()
	p := s.dial(t)
	for open := true; open; {
		p.send(t, `{"name":"b","value":1}`+"\n")
		p.wantID(t)
		select {
		case err := <-cut:
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				t.Error("it was not cut off")
			}
			open = false
		default:
		}
	}
}

func TestTooManyClients(t *testing.T) {
	s := start(t, func(d *Dev, _ *drivertest.Sink) { d.config.MaxClients = 2 })
	first, second := s.dial(t), s.dial(t)
	for _, p := range []*peer{first, second} { // both have a seat
		p.send(t, `{"name":"a","value":1}`+"\n")
		p.wantID(t)
	}
	third := s.dial(t)
	third.wantError(t, "2 clients are connected", "max_clients")
	third.wantEnd(t)
	_ = first.Close()
	for { // the seat is free as soon as the socket has noticed
		p := s.dial(t)
		_, _ = p.Write([]byte(`{"name":"a","value":1}` + "\n")) // it may be turned away already
		if r := p.reply(t); r.ID != "" {
			break
		}
	}
	second.send(t, `{"name":"a","value":1}`+"\n")
	second.wantID(t)
}

// TestQueueIsFull: the reason is told, and the connection stays.
func TestQueueIsFull(t *testing.T) {
	var full atomic.Bool
	full.Store(true)
	s := start(t, func(_ *Dev, sink *drivertest.Sink) {
		sink.Before = func(context.Context, [][]gateway.Reading) error {
			if full.Load() {
				return fmt.Errorf("queue.max_bytes is reached: %w", gateway.ErrFull)
			}
			return nil
		}
	})
	p := s.dial(t)
	p.send(t, strings.Repeat(`{"name":"a","value":1}`+"\n", 2))
	p.wantError(t, "line 1: queue.max_bytes is reached: full")
	p.wantError(t, "line 2: queue.max_bytes")
	full.Store(false)
	p.send(t, `{"name":"b","value":1}`+"\n")
	p.wantID(t)
	if got := s.names(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("accepted %v", got)
	}
}

// TestOneBadLineHarmsNoOther: the queue refuses a group because of one message.
func TestOneBadLineHarmsNoOther(t *testing.T) {
	s := start(t, func(_ *Dev, sink *drivertest.Sink) {
		sink.Before = func(_ context.Context, batches [][]gateway.Reading) error {
			for _, b := range batches {
				if b[0].Name == "poison" {
					return fmt.Errorf("too large: %w", gateway.ErrInvalid)
				}
			}
			return nil
		}
	})
	p := s.dial(t)
	const lines = 200
	bad := []int{0, 77, 78, lines - 1}
	var text strings.Builder
	var want []string
	for i := range lines {
		name := fmt.Sprintf("n%d", i)
		if slices.Contains(bad, i) {
			name = "poison"
		} else {
			want = append(want, name)
		}
		fmt.Fprintf(&text, "{\"name\":%q,\"value\":%d}\n", name, i)
	}
	p.send(t, text.String())
	for i := range lines {
		if slices.Contains(bad, i) {
			p.wantError(t, fmt.Sprintf("line %d: too large", i+1))
		} else {
			p.wantID(t)
		}
	}
	if !slices.Equal(s.names(), want) {
		t.Errorf("accepted %v", s.names())
	}
}

// TestStopAnswersWhatIsDurable: a commit is under way when the stop comes.
func TestStopAnswersWhatIsDurable(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	s := start(t, func(_ *Dev, sink *drivertest.Sink) {
		sink.Before = func(context.Context, [][]gateway.Reading) error {
			close(begun)
			<-release
			return nil
		}
	})
	p, idle := s.dial(t), s.dial(t)
	p.send(t, strings.Repeat(`{"name":"a","value":1}`+"\n", 3)+`{"name":"half`)
	<-begun
	s.stop()
	idle.wantEnd(t)
	select {
	case <-s.ended:
		t.Fatal("Run returned although a client waits for its answer")
	default:
	}
	close(release)
	<-s.ended
	durable := len(s.sink.Batches())
	if durable == 0 {
		t.Error("nothing was accepted")
	}
	for range durable {
		p.wantID(t)
	}
	p.wantEnd(t)
	if _, err := net.Dial("unix", s.path); err == nil {
		t.Error("somebody listens still")
	}
}

// TestStopWithADeafClient: the stop does not wait for it.
func TestStopWithADeafClient(t *testing.T) {
	s := start(t, nil)
	deaf := s.dial(t)
	blocked := make(chan struct{})
	go func() {
		defer close(blocked)
		line := []byte(strings.Repeat(`{"name":"a","value":1}`+"\n", 1000))
		for {
			if _, err := deaf.Write(line); err != nil {
				return
			}
		}
	}()
	p := s.dial(t)
	for len(s.sink.Batches()) < 1000 {
		p.send(t, `{"name":"b","value":1}`+"\n")
		p.wantID(t)
	}
	s.stopped(t) // within the 10 s that a client would have, and far less
	<-blocked
}
