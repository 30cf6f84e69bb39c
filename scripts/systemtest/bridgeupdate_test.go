//go:build bridge

package systemtest

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
)

// cutsWanted is how many cuts updates have to survive: FIELDPOST_BRIDGE_CUTS, or as many
// as a build has time for.
func cutsWanted(t testing.TB) int {
	t.Helper()
	text := os.Getenv("FIELDPOST_BRIDGE_CUTS")
	if text == "" {
		return 16
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// updater is a gateway and a chip that is updated, by commands, to and fro.
type updater struct {
	*gateway
	chip   *chip
	random *rand.Rand
	images [3]string // files, by version
	// cuts counts those of each kind.
	cuts map[string]int
}

// TestBridgeUpdate updates a simulated ATmega328P from one version to the other by its
// loader, and back, while the power of the chip fails in the midst of a write, or at any
// time, its line is unplugged, and the gateway is killed. Whatever is confirmed is whole;
// each update comes to its end, with one result.
func TestBridgeUpdate(t *testing.T) {
	t.Parallel()
	const seed = 11
	dir := t.TempDir()
	u := &updater{chip: newChip(t, dir, nodeImage(t, 1)), random: rand.New(rand.NewPCG(seed, 0)), cuts: map[string]int{}}
	key := u.sign(t, dir)
	h := startHub(t, dir)
	u.chip.powerUp(t)
	u.gateway = newGateway(t, dir, h, "devices:\n", u.chip.mcuDevice(", firmware_keys: ["+key+"]"))
	u.awaitConnected(t)
	var b toldBy
	b.await(t, h, "firmware", equals("node 1.0.0"))
	began, wanted, updates := time.Now(), cutsWanted(t), 0
	for version := 2; u.all() < wanted; version = 3 - version {
		u.update(t, version, wanted)
		updates++
		if got := u.chip.holds(t); got != version {
			t.Fatalf("version %d is in it, want %d", got, version)
		}
		b.await(t, h, "firmware", equals(fmt.Sprintf("node %d.0.0", version)))
	}
	results := 0
	for _, e := range h.events(t) {
		var r outcome
		if e.Properties["kind"] == "result" && json.Unmarshal(e.Body, &r) == nil {
			results++
			if r.Status != "done" {
				t.Errorf("%+v", r)
			}
		}
	}
	if results != updates {
		t.Errorf("%d results of %d updates", results, updates)
	}
	t.Logf("%d updates in %v, cut %d times: %v", updates, time.Since(began).Round(time.Second), u.all(), u.cuts)
}

// sign makes the files of both versions, and returns the public key.
func (u *updater) sign(t testing.TB, dir string) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for version := 1; version <= 2; version++ {
		u.images[version] = filepath.Join(dir, fmt.Sprintf("node-%d.fpfw", version))
		file := link.Sign(nodeImage(t, version), target, link.Version(version)<<24, private)
		if err := os.WriteFile(u.images[version], file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return base64.StdEncoding.EncodeToString(public)
}

func (u *updater) all() (n int) {
	for _, of := range u.cuts {
		n += of
	}
	return n
}

// update asks for a version, and cuts until enough is cut or the update is through.
func (u *updater) update(t testing.TB, version, wanted int) {
	t.Helper()
	cmd := exec.Command(program(t, "fieldpost"), "firmware", "update", "node", u.images[version], "--force", "--socket", u.socket())
	begun := u.begun(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }() // a gateway that is killed cannot answer
	eventually(t, 20*time.Second, func() error {
		if u.begun(t) == begun {
			return fmt.Errorf("the update to version %d has not begun", version)
		}
		return nil
	})
	for u.all() < wanted && !u.through(t, version) {
		pause := time.Duration(100+u.random.IntN(900)) * time.Millisecond
		time.Sleep(pause) // the moment of the cut
		u.cut(t)
	}
	eventually(t, 90*time.Second, func() error {
		if !u.through(t, version) {
			return fmt.Errorf("version %d is not confirmed", version)
		}
		s, err := u.status()
		if err == nil && s.Commands.Waiting > 0 {
			err = fmt.Errorf("%d commands wait", s.Commands.Waiting)
		}
		return err
	})
}

// begun counts how often an update was begun, or gone on with.
func (u *updater) begun(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile(u.log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), `msg="firmware update"`)
}

// through says that the update has come to its end in the chip.
func (u *updater) through(t testing.TB, version int) bool {
	t.Helper()
	return u.chip.holds(t) == version
}

// cut does one of the things that happen in the field.
func (u *updater) cut(t testing.TB) {
	t.Helper()
	switch u.random.IntN(5) {
	case 0, 1:
		u.cuts["power of the chip, in a write"]++
		u.chip.order(t, "cut spm %d", 1+u.random.IntN(60))
		select {
		case <-u.chip.process.ended:
			if code := u.chip.process.cmd.ProcessState.ExitCode(); code != cutPower {
				t.Errorf("the simulator has ended with %d", code)
			}
		case <-time.After(3 * time.Second): // there was no such write: it was through, or not begun
			u.cuts["power of the chip, in a write"]--
			u.cuts["power of the chip"]++
			u.chip.process.kill()
		}
		u.chip.powerUp(t)
	case 2:
		u.cuts["power of the chip"]++
		u.chip.process.kill()
		u.chip.powerUp(t)
	case 3:
		u.cuts["line"]++
		u.chip.order(t, "unplug")
		time.Sleep(time.Duration(u.random.IntN(300)) * time.Millisecond)
		u.chip.order(t, "plug")
	default:
		u.cuts["gateway killed"]++
		u.process.kill()
		u.start(t)
		eventually(t, 20*time.Second, func() error { _, err := u.status(); return err })
	}
}
