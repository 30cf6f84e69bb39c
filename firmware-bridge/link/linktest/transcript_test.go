package linktest

import (
	"bufio"
	"encoding/hex"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
)

// mixer is the microcontroller of the vectors.
func mixer(t testing.TB) *MCU {
	t.Helper()
	text, err := os.ReadFile("../../vectors/descriptor-mixer.txt")
	if err != nil {
		t.Fatal(err)
	}
	return &MCU{
		Descriptor: string(text),
		Do: func(action uint8, lease time.Duration, args []link.Value) (link.Status, []link.Value) {
			switch {
			case action != 1 && action != 2:
				return link.Unknown, nil
			case action == 2 && lease > 0, len(args) != 1, args[0].Kind != link.Bool:
				return link.Invalid, nil
			}
			return link.OK, args
		},
	}
}

// TestTranscript: the simulated microcontroller says what the vectors say.
func TestTranscript(t *testing.T) {
	f, err := os.Open("../../vectors/handshake.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	synctest.Test(t, func(t *testing.T) {
		gateway, end := Pipe(1, Faults{})
		m := mixer(t)
		m.Loader = &Flash{Target: 0x328, Mark: marked, Bytes: []byte(m.Descriptor)}
		var running sync.WaitGroup
		m.started = time.Now()
		m.cause, m.app = 1, m.Descriptor
		running.Go(func() { _ = m.Run(end) })
		began := m.started
		said := &hearer{}
		running.Go(func() { _ = said.hear(gateway) })
		lines := 0
		for scan := bufio.NewScanner(f); scan.Scan(); lines++ {
			kind, rest, _ := strings.Cut(scan.Text(), " ")
			switch kind {
			case "@":
				ms, err := strconv.Atoi(rest)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Until(began.Add(time.Duration(ms) * time.Millisecond)))
				synctest.Wait()
			case ">":
				b, err := hex.DecodeString(rest)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = gateway.Write(b)
				synctest.Wait()
			case "<":
				if got := said.next(); got != rest {
					t.Errorf("line %d: the microcontroller says %s, want %s", lines+1, got, rest)
				}
			}
		}
		if got := said.next(); got != "" || lines < 60 {
			t.Errorf("after %d lines the microcontroller says %s, too", lines, got)
		}
		gateway.Close()
		running.Wait()
	})
}

// hearer collects frames as they were on the wire.
type hearer struct {
	mu     sync.Mutex
	frames []string
}

func (h *hearer) hear(r io.Reader) error {
	var split link.Splitter
	b := make([]byte, 256)
	for {
		n, err := r.Read(b)
		if err != nil {
			return err
		}
		h.mu.Lock()
		split.Split(b[:n], func(f link.Frame) { h.frames = append(h.frames, hex.EncodeToString(f.Append(nil))) })
		h.mu.Unlock()
	}
}

func (h *hearer) next() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.frames) == 0 {
		return ""
	}
	f := h.frames[0]
	h.frames = h.frames[1:]
	return f
}
