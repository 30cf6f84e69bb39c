//go:build wide

package systemtest

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// sdkTime bounds each order to an SDK: Azure's tries again for up to four
// minutes before it gives up.
const sdkTime = 60 * time.Second

// sdkModules is the directory with Azure's SDKs for Node, installed once for
// each state of the lock file and kept in the user's cache.
var sdkModules = sync.OnceValues(func() (string, error) {
	lock, err := os.ReadFile("../sdk/package-lock.json")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, fmt.Sprintf("fieldpost-sdk-%.6x", sha256.Sum256(lock)))
	modules := filepath.Join(dir, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules, nil
	}
	return modules, installSDK(dir, lock)
})

// installSDK makes dir at the end, whole: another test may do the same meanwhile.
func installSDK(dir string, lock []byte) error {
	manifest, err := os.ReadFile("../sdk/package.json")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "fieldpost-sdk-new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	for name, data := range map[string][]byte{"package.json": manifest, "package-lock.json": lock} {
		if err := os.WriteFile(filepath.Join(work, name), data, 0o644); err != nil {
			return err
		}
	}
	npm := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = work
	if out, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	if err := os.Rename(work, dir); err != nil {
		if _, there := os.Stat(dir); there != nil {
			return err
		}
	}
	return nil
}

// sdk is a script of scripts/sdk that carries out orders.
type sdk struct {
	name   string
	orders io.WriteCloser
	lines  chan sdkLine // closed at the end of the script
	early  []sdkLine    // events that nobody has waited for yet
}

// sdkLine is the answer to an order, or something that has happened.
type sdkLine struct {
	Answer json.RawMessage
	Error  string

	Event string
	// Of a command.
	ID, Correlation, Body string
	Properties            map[string]string
	// Of a method.
	Name    string
	Payload json.RawMessage
	// Of desired properties.
	Patch json.RawMessage
	// What went wrong, of events that should not be.
	Failed, Reason string
}

// startSDK runs a script against the hub until the test ends.
func startSDK(t *testing.T, h *hub, script string) *sdk {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Fatal("node is not installed, and Azure's SDKs run on it: apt-get install nodejs npm")
	}
	modules, err := sdkModules()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "--dns-result-order=ipv4first", filepath.Join("..", "sdk", script))
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules, "NODE_EXTRA_CA_CERTS="+h.info.CA)
	log := filepath.Join(h.dir, script+".log")
	if cmd.Stderr, err = os.Create(log); err != nil {
		t.Fatal(err)
	}
	s := &sdk{name: script, lines: make(chan sdkLine, 1000)}
	s.orders, err = cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() { read <- s.read(out) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		if err := <-read; err != nil {
			t.Errorf("%s: %v", script, err)
		}
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("--- end of %s:\n%s", script, tail(log, 40))
		}
	})
	return s
}

func (s *sdk) read(out io.Reader) error {
	defer close(s.lines)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var l sdkLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("%s: %w", lines.Bytes(), err)
		}
		select {
		case s.lines <- l:
		default:
			return errors.New("it says more than anybody reads")
		}
	}
	return nil // a process that was killed breaks its output off
}

// try gives an order and returns the answer, or the error of the SDK. facts are
// pairs of a name and a value.
func (s *sdk) try(t *testing.T, order string, facts ...any) (json.RawMessage, error) {
	t.Helper()
	line := map[string]any{"order": order}
	for i := 0; i < len(facts); i += 2 {
		line[facts[i].(string)] = facts[i+1]
	}
	data, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.orders.Write(append(data, '\n')); err != nil {
		t.Fatalf("%s, order %s: %v", s.name, order, err)
	}
	for {
		switch l := s.next(t, "the answer to "+order); {
		case l.Event != "":
			s.early = append(s.early, l)
		case l.Error != "":
			return nil, errors.New(l.Error)
		default:
			return l.Answer, nil
		}
	}
}

// do gives an order that must succeed; answer is where the answer goes, or nil.
func (s *sdk) do(t *testing.T, answer any, order string, facts ...any) {
	t.Helper()
	data, err := s.try(t, order, facts...)
	if err != nil {
		t.Fatalf("%s, order %s: %v", s.name, order, err)
	}
	if answer == nil {
		return
	}
	if err := json.Unmarshal(data, answer); err != nil {
		t.Fatalf("%s, order %s: answer %s: %v", s.name, order, data, err)
	}
}

// await waits for the next event of a kind.
func (s *sdk) await(t *testing.T, event string) sdkLine {
	t.Helper()
	if i := slices.IndexFunc(s.early, func(l sdkLine) bool { return l.Event == event }); i >= 0 {
		l := s.early[i]
		s.early = slices.Delete(s.early, i, i+1)
		return l
	}
	for {
		l := s.next(t, "the event "+event)
		if l.Event == event {
			return l
		}
		s.early = append(s.early, l)
	}
}

func (s *sdk) next(t *testing.T, what string) sdkLine {
	t.Helper()
	select {
	case l, ok := <-s.lines:
		if !ok {
			t.Fatalf("%s has ended before %s", s.name, what)
		}
		return l
	case <-time.After(sdkTime):
		t.Fatalf("%s: %s has not come within %v; there are %+v", s.name, what, sdkTime, s.early)
	}
	return sdkLine{}
}
