package drivertest

import (
	"runtime"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

// Endure reads a device ten thousand times: after that no more memory, open
// files and goroutines are in use than after a thousand. The suites of buses do
// so themselves.
func Endure(t *testing.T, s gateway.Sensor) {
	t.Helper()
	var memory uint64
	var files, goroutines int
	for n := range times {
		if n == times/10 {
			memory, files = held()
			goroutines = runtime.NumGoroutine()
		}
		if readings, err := s.Read(t.Context()); err != nil || len(readings) == 0 {
			t.Fatalf("read %d: %v, %v", n, readings, err)
		}
	}
	after, filesAfter := held()
	if after > memory+64<<10 {
		t.Errorf("it holds %d bytes after %d reads, %d after %d", after, times, memory, times/10)
	}
	if filesAfter > files {
		t.Errorf("%d files are open, %d were", filesAfter, files)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, %d were", n, goroutines)
	}
}
