package storeforward

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// rawLog is the yardstick: the same bodies appended to a plain file, with one
// fdatasync for each group.
type rawLog struct{ file *os.File }

func newRawLog(b *testing.B) *rawLog {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	return &rawLog{f}
}

func (r *rawLog) append(group []gateway.Message) error {
	var buf []byte
	for _, m := range group {
		buf = append(buf, m.Body...)
	}
	if _, err := r.file.Write(buf); err != nil {
		return err
	}
	return unix.Fdatasync(int(r.file.Fd()))
}

// groups makes the batches that both sides append.
func groups(n, size int, body func(int) string) [][]gateway.Message {
	list := make([][]gateway.Message, n)
	for i := range list {
		list[i] = make([]gateway.Message, size)
		for k := range list[i] {
			list[i][k] = msg(gateway.LaneTelemetry, body(i*size+k))
		}
	}
	return list
}

// BenchmarkAppend appends durably in groups, and the same to a plain file with
// fdatasync in turns of a few groups each, so that both see the same disk.
// x-raw is the share of the yardstick's speed.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("group=%d", size), func(b *testing.B) {
			o := testOptions(b.TempDir())
			o.MaxBytes = 4 << 30
			q, raw := mustOpen(b, o), newRawLog(b)
			var queued, plain time.Duration
			messages := 0
			for b.Loop() {
				batch := groups(8, size, telemetry)
				began := time.Now()
				for _, g := range batch {
					if _, err := q.Append(context.Background(), g...); err != nil {
						b.Fatal(err)
					}
				}
				between := time.Now()
				for _, g := range batch {
					if err := raw.append(g); err != nil {
						b.Fatal(err)
					}
				}
				queued, plain = queued+between.Sub(began), plain+time.Since(between)
				messages += 8 * size
			}
			b.ReportMetric(float64(messages)/queued.Seconds(), "msgs/s")
			b.ReportMetric(float64(plain)/float64(queued), "x-raw")
		})
	}
}

// BenchmarkWear commits a hundred messages at a time, as a busy board does with
// one commit a second. written/accepted is what storage really takes.
func BenchmarkWear(b *testing.B) {
	bodies := map[string]func(int) string{
		"telemetry": telemetry,
		"noise":     func(int) string { return noise(300) },
	}
	for name, body := range bodies {
		b.Run(name, func(b *testing.B) {
			o := testOptions(b.TempDir())
			o.MaxBytes = 4 << 30
			for b.Loop() {
				q := mustOpen(b, o)
				for _, g := range groups(3000, 100, body) {
					if _, err := q.Append(context.Background(), g...); err != nil {
						b.Fatal(err)
					}
				}
				if err := q.Close(); err != nil { // what is in memory is written too
					b.Fatal(err)
				}
				s := q.Stats()
				b.ReportMetric(float64(s.DeviceBytes)/float64(s.BytesAccepted), "written/accepted")
			}
		})
	}
}

// BenchmarkHead reads the head of a lane again and again, with a few and with
// many messages behind it.
func BenchmarkHead(b *testing.B) {
	for _, behind := range []int{10, 1_000_000} {
		b.Run(fmt.Sprintf("behind=%d", behind), func(b *testing.B) {
			o := testOptions(b.TempDir())
			o.MaxBytes = 4 << 30
			q := mustOpen(b, o)
			for n := 0; n < behind; n += 250 {
				if _, err := q.Append(context.Background(), groups(1, min(250, behind), telemetry)[0]...); err != nil {
					b.Fatal(err)
				}
			}
			l := q.own[gateway.LaneTelemetry]
			for b.Loop() {
				q.Rewind()
				q.mu.Lock()
				l.back.window, l.live.window = window{}, window{} // read it again
				q.mu.Unlock()
				if _, err := q.Next(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
