package storeforward

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// memoryDir tells the test binary to be the process whose memory is measured.
const memoryDir = "STOREFORWARD_MEMORY_DIR"

const memoryMessages = 1_000_000

// telemetry is message n of a board, of some 300 bytes.
func telemetry(n int) string {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	at := time.UnixMilli(1_795_600_000_000 + int64(n)*10_000).UTC().Format("2006-01-02T15:04:05.000Z")
	return fmt.Sprintf(`{"v":1,"readings":[{"device":"air","name":"temperature","value":%.2f,"unit":"Cel","time":%q},`+
		`{"device":"air","name":"humidity","value":%.1f,"unit":"%%RH","time":%q},{"device":"board","name":"load_1m","value":%.2f,"time":%q}]}`,
		20+3*r.Float64(), at, 40+10*r.Float64(), at, r.Float64(), at)
}

// BenchmarkMemory fills a store with a million messages of telemetry, leaves it
// alone, opens it again and drains it, in a process of its own. It reports
// VmRSS, mapped files included, in MB, and how long a start takes.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		dir := b.TempDir()
		for _, phase := range []string{"fill", "drain"} {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), memoryDir+"="+dir, "STOREFORWARD_MEMORY_PHASE="+phase, "STOREFORWARD_MEMORY_IDLE=yes", "GOMEMLIMIT=24MiB")
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				b.Fatalf("%s: %v\n%s", phase, err, out)
			}
			for line := range strings.Lines(string(out)) {
				var name string
				var value float64
				if n, _ := fmt.Sscan(line, &name, &value); n == 2 {
					b.ReportMetric(value, name)
				}
			}
		}
	}
}

// measureMemory is the process that BenchmarkMemory starts.
func measureMemory(dir, phase string) error {
	o := testOptions(dir)
	o.MaxBytes = 2 << 30
	began := time.Now()
	q, err := Open(o)
	if err != nil {
		return err
	}
	report(phase+"-open-ms", float64(time.Since(began).Milliseconds()))
	peak := watchMemory()
	began = time.Now()
	if phase == "fill" {
		err = fillMillion(q)
	} else {
		err = drainAll(q)
	}
	if err != nil {
		return err
	}
	report(phase+"-msgs/s", memoryMessages/time.Since(began).Seconds())
	report(phase+"-peak-MB", peak())
	if os.Getenv("STOREFORWARD_MEMORY_IDLE") != "" {
		time.Sleep(12 * time.Second) // the trimmer and the runtime come to rest
		report(phase+"-idle-MB", residentMB())
	}
	began = time.Now()
	if err := q.Close(); err != nil {
		return err
	}
	report(phase+"-close-ms", float64(time.Since(began).Milliseconds()))
	return nil
}

func report(name string, value float64) { fmt.Println(name, value) }

func fillMillion(q *Queue) error {
	batch := make([]gateway.Message, 256)
	for n := 0; n < memoryMessages; {
		batch = batch[:min(len(batch), memoryMessages-n)]
		for i := range batch {
			n++
			batch[i] = msg(gateway.LaneTelemetry, telemetry(n))
		}
		if _, err := q.Append(context.Background(), batch...); err != nil {
			return err
		}
	}
	return nil
}

func drainAll(q *Queue) error {
	for range memoryMessages {
		m, err := q.Next(context.Background())
		if err != nil {
			return err
		}
		if err := q.Ack(m.ID); err != nil {
			return err
		}
	}
	return nil
}

// watchMemory samples VmRSS; the function returned ends that and gives the peak.
func watchMemory() (peak func() float64) {
	stop, result := make(chan struct{}), make(chan float64)
	go func() {
		most := 0.0
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			most = max(most, residentMB())
			select {
			case <-tick.C:
			case <-stop:
				result <- most
				return
			}
		}
	}()
	return func() float64 {
		close(stop)
		return <-result
	}
}

// residentMB is VmRSS of this process.
func residentMB() float64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kb float64
		if n, _ := fmt.Sscanf(lines.Text(), "VmRSS: %f kB", &kb); n == 1 {
			return kb / 1000
		}
	}
	return 0
}
