//go:build wide

package systemtest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mosquitto is a broker process that can be stopped and started again. It keeps
// sessions and messages on disk, as of its last stop.
type mosquitto struct {
	program, dir, config, log string
	address                   string
	process                   *process
}

// startMosquitto starts the broker with these lines of config beside its own.
func startMosquitto(t *testing.T, dir string, lines ...string) *mosquitto {
	t.Helper()
	m := &mosquitto{dir: filepath.Join(dir, "mosquitto"), log: filepath.Join(dir, "mosquitto.log")}
	m.config = filepath.Join(m.dir, "mosquitto.conf")
	m.program = findMosquitto(t)
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const attempts = 5 // somebody else may take the port
	for range attempts {
		m.address = freeAddress(t)
		m.configure(t, lines...)
		if err := m.try(t); err == nil {
			return m
		}
	}
	t.Fatalf("mosquitto does not start:\n%s", tail(m.log, 20))
	return nil
}

// findMosquitto fails the test where there is none: a proof with foreign parts
// that was not made must not look like one.
func findMosquitto(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil { // Debian keeps it out of the path of users
		path, err = exec.LookPath("/usr/sbin/mosquitto")
	}
	if err != nil {
		t.Fatal("mosquitto is not installed: apt-get install mosquitto")
	}
	return path
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// configure writes the config; the broker keeps what it has, and nobody needs a
// password, unless the lines say so.
func (m *mosquitto) configure(t *testing.T, lines ...string) {
	t.Helper()
	who, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(m.address)
	own := []string{
		"listener " + port + " 127.0.0.1",
		"user " + who.Username, // as root it would become another one, who may not write here
		"persistence_location " + m.dir + "/",
		"log_dest stderr",
	}
	for _, line := range []string{"persistence true", "allow_anonymous true"} {
		key, _, _ := strings.Cut(line, " ")
		if !strings.Contains(strings.Join(lines, "\n"), key) {
			own = append(own, line)
		}
	}
	text := strings.Join(append(own, lines...), "\n") + "\n"
	if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// try starts the process and waits until it listens.
func (m *mosquitto) try(t *testing.T) error {
	t.Helper()
	m.process = spawn(t, m.log, m.program, "-c", m.config)
	end := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := net.Dial("tcp", m.address); err == nil {
			return conn.Close()
		}
		select {
		case <-m.process.ended:
			return errors.New("it has ended")
		case <-end:
			return errors.New("it does not listen")
		case <-tick.C:
		}
	}
}

// stop lets the broker write its sessions down.
func (m *mosquitto) stop(t *testing.T) {
	t.Helper()
	if code := m.process.terminate(t, 30*time.Second); code != 0 {
		t.Fatalf("mosquitto has ended with code %d\n%s", code, tail(m.log, 20))
	}
}

// start starts the broker again, at the same address.
func (m *mosquitto) start(t *testing.T) {
	t.Helper()
	if err := m.try(t); err != nil {
		t.Fatalf("mosquitto does not start again: %v\n%s", err, tail(m.log, 20))
	}
}

// upstream is the gateway's config for this broker, with these keys.
func (m *mosquitto) upstream(keys ...string) string {
	text := fmt.Sprintf("  - type: mqtt\n    url: mqtt://%s\n", m.address)
	for _, key := range keys {
		text += "    " + key + "\n"
	}
	return text
}
