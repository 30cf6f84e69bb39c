package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func mountAll() error {
	for _, m := range []struct{ kind, at string }{
		{"proc", "/proc"},
		{"sysfs", "/sys"},
		{"debugfs", "/sys/kernel/debug"},
		{"tracefs", "/sys/kernel/tracing"},
		{"devtmpfs", "/dev"},
		{"tmpfs", "/tmp"},
		{"tmpfs", "/run"},
		{"tmpfs", "/var"},
	} {
		if err := mount(m.kind, m.kind, m.at); err != nil {
			return err
		}
	}
	return nil
}

func mount(kind, source, at string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, at, kind, 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", at, err)
	}
	return nil
}

// loadModules loads what the file order lists: one module a line, with its
// parameters, each after those that it needs.
func loadModules(dir string) error {
	order, err := os.Open(filepath.Join(dir, "order"))
	if err != nil {
		return err
	}
	defer order.Close() //nolint:errcheck // only read
	lines := bufio.NewScanner(order)
	for lines.Scan() {
		name, parameters, _ := strings.Cut(lines.Text(), " ")
		if err := loadModule(filepath.Join(dir, name), parameters); err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
	}
	return lines.Err()
}

func loadModule(path, parameters string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	return unix.FinitModule(int(f.Fd()), parameters, 0)
}

// networkUp sets up the loopback and the one interface that the board has, with
// the address that QEMU's user-mode network gives.
func networkUp() error {
	if err := interfaceUp("lo", [4]byte{127, 0, 0, 1}); err != nil {
		return fmt.Errorf("interface lo: %w", err)
	}
	name, err := awaitInterface()
	if err != nil {
		return err
	}
	if err := interfaceUp(name, [4]byte{10, 0, 2, 15}); err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	return nil
}

// awaitInterface waits for an interface of hardware: one on
// USB is found some time after the start.
func awaitInterface() (string, error) {
	for range 200 {
		found, err := filepath.Glob("/sys/class/net/*/device")
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return filepath.Base(filepath.Dir(found[0])), nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return "", errors.New("no network interface after 20 s")
}

func interfaceUp(name string, address [4]byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := ifr.SetInet4Addr(address[:]); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFADDR, ifr); err != nil {
		return err
	}
	if err := ifr.SetInet4Addr([]byte{255, 255, 255, 0}); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFNETMASK, ifr); err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}
