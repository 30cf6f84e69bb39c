package service

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/config"
)

// writeBundle writes what somebody who looks for a fault from afar needs, as a
// tar packed with gzip. No secret is in it.
func (s *Service) writeBundle(ctx context.Context, w io.Writer, logLines int) error {
	packed := gzip.NewWriter(w)
	archive := tar.NewWriter(packed)
	for _, part := range []struct {
		name string
		make func() ([]byte, error)
	}{
		{"version.json", func() ([]byte, error) { return indented(s.versionInfo()) }},
		{"status.json", func() ([]byte, error) { return indented((&api{Service: s}).status()) }},
		{"config.json", func() ([]byte, error) { return indented(s.now().config.Describe()) }},
		{"log.txt", func() ([]byte, error) { return recentLog(ctx, logLines), nil }},
	} {
		data, err := part.make()
		if err == nil {
			err = archive.WriteHeader(&tar.Header{Name: part.name, Mode: 0o644, Size: int64(len(data)), ModTime: s.clock.Now()})
		}
		if err == nil {
			_, err = archive.Write(data)
		}
		if err != nil {
			return fmt.Errorf("bundle: %s: %w", part.name, err)
		}
	}
	return errors.Join(archive.Close(), packed.Close())
}

func indented(v any) ([]byte, error) { return json.MarshalIndent(v, "", "  ") }

// versionInfo is what runs, and on what.
func (s *Service) versionInfo() map[string]any {
	info := map[string]any{
		"version": s.build.Version, "commit": s.build.Commit, "built": s.build.Time,
		"go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH, "cpus": runtime.NumCPU(),
	}
	for name, path := range map[string]string{"kernel": "/proc/version", "model": "/proc/device-tree/model", "system": "/etc/os-release"} {
		if text, err := readSome(path, 4<<10); err == nil {
			info[name] = strings.TrimRight(text, "\x00\n")
		}
	}
	return info
}

func readSome(path string, limit int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(f, limit))
	return strings.ToValidUTF8(string(data), "?"), err
}

const (
	// maxLogBytes bounds what is taken of the log; it is held in memory.
	maxLogBytes = 2 << 20
	// logTime is how long the journal may take to find the lines.
	logTime = 20 * time.Second
)

// recentLog asks the journal for what the gateway has logged, runs before this
// one included. Without a journal it says so.
func recentLog(ctx context.Context, lines int) []byte {
	ctx, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	journal := exec.CommandContext(ctx, "journalctl", "--identifier=fieldpost", "--lines="+strconv.Itoa(lines), "--output=short-iso", "--no-pager", "--quiet")
	log := &tail{limit: maxLogBytes}
	var complaint tail
	complaint.limit = 4 << 10
	journal.Stdout, journal.Stderr = log, &complaint
	journal.WaitDelay = time.Second
	err := journal.Run()
	if err == nil && len(log.kept) > 0 {
		return log.kept
	}
	return append(log.kept, fmt.Appendf(nil, "no lines from the journal: %v %s\n(the user of the gateway has to be in the group systemd-journal)\n", err, bytes.TrimSpace(complaint.kept))...)
}

// tail keeps the last of what is written to it, within a limit.
type tail struct {
	limit int
	kept  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - t.limit; over > t.limit/4 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

// Describe is what the config says, defaults included and secrets hidden.
func (l *Loaded) Describe() map[string]any {
	all, _ := config.Describe(l.Config).(map[string]any)
	merge := func(parts ...any) map[string]any {
		one := map[string]any{}
		for _, part := range parts {
			said, _ := config.Describe(part).(map[string]any)
			for key, value := range said {
				one[key] = value
			}
		}
		return one
	}
	all["upstreams"] = []any{merge(l.upstream.UpstreamConfig, l.upstream.config)}
	devices := make([]any, 0, len(l.devices))
	for _, d := range l.devices {
		devices = append(devices, merge(d.DeviceConfig, d.config))
	}
	all["devices"] = devices
	return all
}

// writeLane writes what waits in a lane as NDJSON packed with gzip.
func (s *Service) writeLane(ctx context.Context, w io.Writer, lane gateway.Lane, limit int) error {
	packed, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(packed, 64<<10)
	lines := json.NewEncoder(buffered)
	lines.SetEscapeHTML(false)
	queue := &queueAPI{queue: s.queue, dater: s.dater, log: s.log}
	for _, l := range queue.lanes(lane) {
		err := queue.each(ctx, l, 0, func(m gateway.Message) error {
			if limit--; limit < 0 {
				return errEnough
			}
			return lines.Encode(exported(m))
		})
		if err != nil && !errors.Is(err, errEnough) {
			return fmt.Errorf("lane %s: %w", lane, err)
		}
	}
	return errors.Join(buffered.Flush(), packed.Close())
}

var errEnough = errors.New("enough")
