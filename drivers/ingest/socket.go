package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

// listen opens the socket, and replaces what a crash has left of an earlier one.
func (c Config) listen(ctx context.Context) (*net.UnixListener, error) {
	mode, err := c.mode()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(c.Socket), 0o755); err != nil {
		return nil, fmt.Errorf("ingest socket: %w", err)
	}
	if err := removeStale(ctx, c.Socket); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: c.Socket, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("ingest socket: %w", err)
	}
	if err := os.Chmod(c.Socket, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("ingest socket: %w", err), l.Close())
	}
	return l, nil
}

// removeStale removes a socket on which nobody listens any more.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("ingest socket: %w", err)
	case info.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("ingest socket: %s is there and no socket; choose another path or remove it: %w", path, gateway.ErrInvalid)
	}
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = conn.Close()
		return fmt.Errorf("ingest socket: another program listens on %s; stop it or choose another path: %w", path, gateway.ErrUnavailable)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("ingest socket: %s is there, and whether somebody listens on it cannot be told: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("ingest socket: the leftover of a crash cannot be removed: %w", err)
	}
	return nil
}
