//go:build wide

package systemtest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestFiftyDevices measures what fifty devices cost that are read each second,
// five quantities each: of the processor and of memory. Batches and commits are
// at their defaults. Half as many absent devices beside them must not show.
func TestFiftyDevices(t *testing.T) {
	const (
		devices, absent = 50, 25
		settling        = 10 * time.Second
		measured        = 20 * time.Second
		mostMemory      = 64 << 20
	)
	dir := t.TempDir()
	h := startHub(t, dir)
	g := prepareGateway(t, dir, h, "  commit: {max_age: 100ms}\n", "", "batch:\n  max_age: 100ms\n", "")
	text, _, _ := strings.Cut(readText(t, g.config), "devices:\n")
	var config strings.Builder
	config.WriteString(text + "devices:\n")
	for i := range devices {
		fmt.Fprintf(&config, "  - {id: good.%d, driver: sim, every: 1s, seed: %d}\n", i, i+1)
	}
	for i := range absent {
		fmt.Fprintf(&config, "  - {id: absent.%d, driver: sim, every: 1s, actuations: %s/no/folder}\n", i, dir)
	}
	if err := os.WriteFile(g.config, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	g.start(t)
	g.awaitConnected(t)
	g.awaitStates(t, map[string]int{"good": devices, "absent": absent})
	time.Sleep(settling)
	cpu, reads, start := g.cpu(t), g.reads(t), time.Now()
	time.Sleep(measured)
	took := time.Since(start)
	used, read := g.cpu(t)-cpu, g.reads(t)-reads
	s, err := g.status()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d devices at 1 Hz, %d absent: %d reads in %v, %.1f %% of one processor, %.1f MB of memory (VmRSS)",
		devices, absent, read, took.Round(time.Millisecond), 100*used.Seconds()/took.Seconds(), float64(s.Memory.RSSBytes)/(1<<20))
	if s.Memory.RSSBytes > mostMemory {
		t.Errorf("%d bytes of memory, want at most %d", s.Memory.RSSBytes, mostMemory)
	}
	if read == 0 {
		t.Error("nothing was read")
	}
	if n := strings.Count(readText(t, g.log), "code=device:absent."); n != absent {
		t.Errorf("%d lines in the log for %d absent devices", n, absent)
	}
}

// awaitStates waits until so many devices are in each state.
func (g *gateway) awaitStates(t *testing.T, want map[string]int) {
	t.Helper()
	eventually(t, time.Minute, func() error {
		s, err := g.status()
		if err != nil {
			return err
		}
		got := make(map[string]int)
		for _, d := range s.Devices {
			got[d.State]++
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("%v, want %v", got, want)
		}
		return nil
	})
}

// reads counts what the gateway has read of all devices.
func (g *gateway) reads(t *testing.T) (n uint64) {
	t.Helper()
	s, err := g.status()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range s.Devices {
		n += d.Reads
	}
	return n
}

// cpu is the processor time that the gateway has used (proc(5), utime and stime,
// in hundredths of a second).
func (g *gateway) cpu(t *testing.T) time.Duration {
	t.Helper()
	stat := readText(t, fmt.Sprintf("/proc/%d/stat", g.process.cmd.Process.Pid))
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	var ticks int
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
