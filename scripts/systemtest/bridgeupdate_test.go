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
	"sync"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/firmware-bridge/link"
)

const (
	// cutsWanted is how many cuts updates have to survive, in all.
	cutsWanted = 200
	// updaters share them: most of the time of each is waiting.
	updaters = 8
	// cutsEach is how many may befall one update, so that there are many.
	cutsEach = 8
)

// updater is a gateway and a chip that is updated, by commands, to and fro.
type updater struct {
	*gateway
	hub    *hub
	chip   *chip
	random *rand.Rand
	key    ed25519.PrivateKey
	images [3]string // files, by version
	// cuts counts those of each kind.
	cuts map[string]int
}

// TestBridgeUpdate updates simulated ATmega328Ps from one version to the other by their
// loaders, and back, while the power of the chip fails in the midst of a write, or at any
// time, its line is unplugged, and the gateway is killed. Whatever is confirmed is whole;
// each update comes to its end, with one result.
func TestBridgeUpdate(t *testing.T) {
	t.Parallel()
	var (
		mu            sync.Mutex
		updates, cuts int
		kinds         = map[string]int{}
		began         = time.Now()
	)
	t.Run("cut", func(t *testing.T) { // is over when all of them are
		for i := range updaters {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				u := newUpdater(t, uint64(i))
				n := u.toAndFro(t, cutsWanted*(i+1)/updaters-cutsWanted*i/updaters)
				mu.Lock()
				defer mu.Unlock()
				updates += n
				cuts += u.all()
				for kind, of := range u.cuts {
					kinds[kind] += of
				}
			})
		}
	})
	t.Logf("%d updates of %d chips in %v, cut %d times: %v", updates, updaters, time.Since(began).Round(time.Second), cuts, kinds)
	if cuts != cutsWanted || len(kinds) != 4 {
		t.Errorf("%d cuts of %d kinds, want %d of 4", cuts, len(kinds), cutsWanted)
	}
}

// newUpdater is a gateway with a hub and a chip that has version 1; what happens to them
// follows from the seed.
func newUpdater(t *testing.T, seed uint64) *updater {
	t.Helper()
	dir := t.TempDir()
	u := &updater{chip: newChip(t, dir, nodeImage(t, 1)), hub: startHub(t, dir), random: rand.New(rand.NewPCG(seed, 0)), cuts: map[string]int{}}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	u.key = private
	for version := 1; version <= 2; version++ {
		u.images[version] = u.sign(t, nodeImage(t, version), version)
	}
	u.chip.powerUp(t)
	u.gateway = newGateway(t, dir, u.hub, "devices:\n", u.chip.mcuDevice(", firmware_keys: ["+base64.StdEncoding.EncodeToString(public)+"]"))
	u.awaitConnected(t)
	return u
}

// toAndFro updates until so many cuts were made, and returns how often.
func (u *updater) toAndFro(t testing.TB, wanted int) (updates int) {
	t.Helper()
	var b toldBy
	b.await(t, u.hub, "firmware", equals("node 1.0.0"))
	for version := 2; u.all() < wanted; version = 3 - version {
		u.update(t, version, wanted)
		updates++
		if got := u.chip.holds(t); got != version {
			t.Fatalf("version %d is in it, want %d", got, version)
		}
		b.await(t, u.hub, "firmware", equals(fmt.Sprintf("node %d.0.0", version)))
	}
	results := u.results(t)
	for _, r := range results {
		if r.Status != "done" {
			t.Errorf("%+v", r)
		}
	}
	if len(results) != updates {
		t.Errorf("%d results of %d updates", len(results), updates)
	}
	return updates
}

// results are those that the hub has.
func (u *updater) results(t testing.TB) (all []outcome) {
	t.Helper()
	for _, e := range u.hub.events(t) {
		var r outcome
		if e.Properties["kind"] == "result" && json.Unmarshal(e.Body, &r) == nil {
			all = append(all, r)
		}
	}
	return all
}

// sign makes the file of an image.
func (u *updater) sign(t testing.TB, image []byte, version int) string {
	t.Helper()
	file := filepath.Join(u.chip.dir, fmt.Sprintf("node-%d.fpfw", version))
	if err := os.WriteFile(file, link.Sign(image, target, link.Version(version)<<24, u.key), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (u *updater) all() (n int) {
	for _, of := range u.cuts {
		n += of
	}
	return n
}

// update asks for a version, cuts until enough is cut or the update is through, and waits
// for its end.
func (u *updater) update(t testing.TB, version, wanted int) {
	t.Helper()
	cmd := u.send(t, u.images[version])
	defer func() { _ = cmd.Wait() }() // a gateway that is killed cannot answer
	want := fmt.Sprintf("%d.0.0 to %d.0.0", 3-version, version)
	eventually(t, 20*time.Second, func() error {
		s, err := u.status()
		if err != nil {
			return err
		}
		if f := s.Devices[0].Firmware; f == nil || f.From+" to "+f.To != want {
			return fmt.Errorf("the update from %s has not begun: %+v", want, f)
		}
		return nil
	})
	for of := 0; of < cutsEach && u.all() < wanted && !u.through(t, version); of++ {
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

// send asks for the update to a file of firmware. Who waits for the command has its end.
func (u *updater) send(t testing.TB, file string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program(t, "fieldpost"), "firmware", "update", "node", file, "--force", "--socket", u.socket())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
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
