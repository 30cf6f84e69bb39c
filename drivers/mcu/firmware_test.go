package mcu

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/firmware-bridge/link"
	"github.com/fieldpost/fieldpost/firmware-bridge/link/linktest"
	"github.com/fieldpost/fieldpost/gateway"
)

const target = 0x0328

// firmware is an image of the simulated part: the descriptor that it will have, made
// long enough for several blocks.
func firmware(version string) string {
	return "device name=mixer\nfirmware name=mixer-fw version=" + version + "\nchannel id=1 name=temperature type=float\n" +
		strings.Repeat("comment text=\"so that it is longer\"\n", 12)
}

// workshop is a microcontroller with a loader, and who signs for it.
type workshop struct {
	*rig
	key ed25519.PrivateKey
	dir string
}

func newWorkshop(t *testing.T, change func(*Config)) *workshop {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &workshop{key: private, dir: t.TempDir()}
	w.rig = wireTo(t, &linktest.MCU{Timeout: 2 * time.Second, Loader: linktest.NewFlash(target, 4096, firmware("1.0.0"))}, func(c *Config) {
		c.FirmwareKeys = []string{base64.StdEncoding.EncodeToString(public)}
		if change != nil {
			change(c)
		}
	})
	w.KeepFiles(w.dir)
	return w
}

// sign makes the file of an image.
func (w *workshop) sign(t *testing.T, image, version string) []byte {
	t.Helper()
	v, err := link.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	return link.Sign([]byte(image), target, v, w.key)
}

// hand puts a file where the gateway puts what it is handed, and makes the command.
func (w *workshop) hand(t *testing.T, file []byte, force bool) gateway.Command {
	t.Helper()
	sum := sha256.Sum256(file)
	name := hex.EncodeToString(sum[:])
	if err := os.WriteFile(filepath.Join(w.dir, name+imageSuffix), file, 0o600); err != nil {
		t.Fatal(err)
	}
	return command(updateFirmware, map[string]any{"sha256": name, "force": force})
}

func (w *workshop) files(t *testing.T) (names []string) {
	t.Helper()
	all, err := os.ReadDir(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		names = append(names, f.Name())
	}
	return names
}

func (w *workshop) runs(t *testing.T, version string) {
	t.Helper()
	image := ""
	w.mcu.Memory(func(f *linktest.Flash) { image = f.Runs() })
	if !strings.Contains(image, "version="+version+"\n") || w.mcu.InLoader() {
		t.Errorf("%.80q is in it, in the loader: %v; want %s", image, w.mcu.InLoader(), version)
	}
}

// writes counts the blocks that were written.
func (w *workshop) writes() (n int) {
	w.mcu.Memory(func(f *linktest.Flash) { n = f.Writes })
	return n
}

// mark is what the loader knows of the image.
func (w *workshop) mark() (mark byte) {
	w.mcu.Memory(func(f *linktest.Flash) { mark = f.Mark })
	return mark
}

func TestFirmwareIsReplaced(t *testing.T) {
	w := newWorkshop(t, nil)
	w.open(t)
	sink := w.listen(t)
	if names := w.Actions(); names[len(names)-1].Name != updateFirmware || !names[len(names)-1].Resumable {
		t.Fatalf("%+v", names)
	}
	cmd := w.hand(t, w.sign(t, firmware("1.1.0"), "1.1.0"), false)
	told := w.amid(t)
	values, err := w.Do(t.Context(), cmd)
	if err != nil || values["version"] != "1.1.0" {
		t.Fatalf("%v, %v", values, err)
	}
	if got := <-told; got.From != "1.0.0" || got.To != "1.1.0" || got.Phase != "sending" || got.Percent == 0 || got.Since.IsZero() {
		t.Errorf("amid it: %+v", got)
	}
	if got := w.FirmwareUpdate(); got != nil {
		t.Errorf("after it: %+v", got)
	}
	w.beginUpdate(0)
	if got := w.FirmwareUpdate(); got.From != "1.1.0" {
		t.Errorf("amid the next one: %+v", got)
	}
	w.endUpdate()
	w.runs(t, "1.1.0")
	if mark := w.mark(); mark != 0xA5 {
		t.Errorf("the mark is %x, want that of a confirmed image", mark)
	}
	if got := w.files(t); !slices.Equal(got, []string{keptImage}) {
		t.Errorf("there are %v", got)
	}
	eventually(t, "the new version is told", func() bool { f, _ := find(sink, "firmware"); return f.Value == gateway.Text("mixer-fw 1.1.0") })
	if p, _ := find(sink, "firmware.progress"); p.Value != gateway.Number(100) {
		t.Errorf("progress %v", p.Value)
	}
	if p, _ := find(sink, "firmware.update"); p.Value != gateway.Text("confirmed") {
		t.Errorf("state %v", p.Value)
	}
	writes := w.writes()
	if _, err := w.Do(t.Context(), w.hand(t, w.sign(t, firmware("1.1.0"), "1.1.0"), false)); err != nil || w.writes() != writes {
		t.Errorf("the same again: %v, %d blocks written", err, w.writes()-writes)
	}
}

// amid returns what is told of an update when a block is written.
func (w *workshop) amid(t *testing.T) <-chan gateway.FirmwareUpdate {
	told := make(chan gateway.FirmwareUpdate, 1)
	go func() {
		for t.Context().Err() == nil {
			if f := w.FirmwareUpdate(); f != nil && f.Percent > 0 {
				told <- *f
				return
			}
			time.Sleep(100 * time.Microsecond)
		}
	}()
	return told
}

// TestPowerCutsAmidATrial are not held against the image.
func TestPowerCutsAmidATrial(t *testing.T) {
	w := newWorkshop(t, nil)
	w.open(t)
	w.listen(t)
	image := firmware("1.1.0") + "channel id=2 name=level type=int every=1000\n"
	cmd := w.hand(t, w.sign(t, image, "1.1.0"), false)
	done := make(chan error, 1)
	go func() {
		_, err := w.Do(t.Context(), cmd)
		done <- err
	}()
	for range mostTries + 1 {
		eventually(t, "it is tried", func() bool { return !w.mcu.InLoader() && w.mark() == 0xA7 })
		w.mcu.Reset(link.PowerOn)
	}
	eventually(t, "it is done", func() bool {
		w.mcu.Emit(2, link.IntValue(1))
		return len(done) > 0
	})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.runs(t, "1.1.0")
}

// TestWhatRunsIsNotSentAgain: a command whose result the kill of a gateway has cut off.
func TestWhatRunsIsNotSentAgain(t *testing.T) {
	w := newWorkshop(t, nil)
	w.open(t)
	cmd := w.hand(t, w.sign(t, firmware("1.0.0"), "1.0.0"), false)
	cmd.Resumed = true
	if _, err := w.Do(t.Context(), cmd); err != nil || w.writes() > 0 || w.mark() != 0xA5 {
		t.Errorf("%v, %d blocks were written", err, w.writes())
	}
	cmd = w.hand(t, w.sign(t, firmware("0.9.0"), "0.9.0"), false)
	cmd.Resumed = true // it was judged when it was begun
	if _, err := w.Do(t.Context(), cmd); err != nil {
		t.Error(err)
	}
	w.runs(t, "0.9.0")
}

// TestImagesThatAreRefused: before a byte of them is sent.
func TestImagesThatAreRefused(t *testing.T) {
	w := newWorkshop(t, nil)
	w.open(t)
	_, stranger, _ := ed25519.GenerateKey(nil)
	v, _ := link.ParseVersion("2.0.0")
	good := w.sign(t, firmware("2.0.0"), "2.0.0")
	for want, file := range map[string][]byte{
		"none of firmware_keys": link.Sign([]byte(firmware("2.0.0")), target, v, stranger),
		"for the hardware 0001": link.Sign([]byte(firmware("2.0.0")), 1, v, w.key),
		"older than 1.0.0":      w.sign(t, firmware("0.9.0"), "0.9.0"),
		"its header says":       good[:len(good)-1],
		"no firmware image":     []byte(strings.Repeat("x", 500)),
	} {
		if _, err := w.Do(t.Context(), w.hand(t, file, false)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for want, args := range map[string]map[string]any{
		"want url or sha256": {}, "64 hexadecimal": {"sha256": "12"}, "handed over": {"sha256": strings.Repeat("0", 64)},
		"https:// alone": {"url": "http://127.0.0.1/x"}, "alone: denied": {"url": "file:///etc/passwd"},
	} {
		if _, err := w.Do(t.Context(), command(updateFirmware, args)); !errors.Is(err, gateway.ErrDenied) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", args, err, want)
		}
	}
	if n := w.writes(); n > 0 || w.mcu.InLoader() {
		t.Errorf("%d blocks were written", n)
	}
	if got := w.files(t); got != nil {
		t.Errorf("what was refused is kept: %v", got)
	}
	if _, err := w.Do(t.Context(), w.hand(t, w.sign(t, firmware("0.9.0"), "0.9.0"), true)); err != nil {
		t.Errorf("an older one by force: %v", err)
	}
	w.runs(t, "0.9.0")
}

// TestWhatDoesNotComeUpIsPutBack: an image that crashes at its start.
func TestWhatDoesNotComeUpIsPutBack(t *testing.T) {
	w := newWorkshop(t, nil)
	w.open(t)
	w.listen(t)
	crash := w.hand(t, w.sign(t, "crash", "2.0.0"), false)
	if _, err := w.Do(t.Context(), crash); !errors.Is(err, errNotUp) || !strings.Contains(err.Error(), "no image of what ran before") {
		t.Fatalf("%v", err)
	}
	if !w.mcu.InLoader() {
		t.Error("the loader has let go")
	}
	if _, err := w.Do(t.Context(), command("set", nil)); err == nil || !strings.Contains(err.Error(), "its loader is running") {
		t.Errorf("in the loader: %v", err)
	}
	if _, err := w.Do(t.Context(), w.hand(t, w.sign(t, firmware("1.5.0"), "1.5.0"), true)); err != nil {
		t.Fatal(err)
	}
	w.runs(t, "1.5.0")
	crash = w.hand(t, w.sign(t, "crash", "2.0.0"), false)
	if _, err := w.Do(t.Context(), crash); !errors.Is(err, errNotUp) || !strings.Contains(err.Error(), "1.5.0 was put back and runs") {
		t.Fatalf("%v", err)
	}
	w.runs(t, "1.5.0")
}

// TestNonsenseIsPutBack: an image that runs and cannot say what it is.
func TestNonsenseIsPutBack(t *testing.T) {
	w := newWorkshop(t, nil)
	w.open(t)
	w.listen(t)
	if _, err := w.Do(t.Context(), w.hand(t, w.sign(t, firmware("1.5.0"), "1.5.0"), false)); err != nil {
		t.Fatal(err)
	}
	nonsense := w.hand(t, w.sign(t, "device nonsense\n", "2.0.0"), false)
	waiting := w.hand(t, w.sign(t, firmware("3.0.0"), "3.0.0"), false)
	if _, err := w.Do(t.Context(), nonsense); !errors.Is(err, errNotUp) || !strings.Contains(err.Error(), "1.5.0 was put back and runs") {
		t.Fatalf("%v", err)
	}
	w.runs(t, "1.5.0")
	if _, err := w.Do(t.Context(), waiting); err != nil {
		t.Errorf("an image that was handed over meanwhile: %v", err)
	}
}

// TestTooLargeAnImage is refused by the loader, which lets the old one go on.
func TestTooLargeAnImage(t *testing.T) {
	w := newWorkshop(t, nil)
	w.open(t)
	w.listen(t)
	large := firmware("2.0.0") + strings.Repeat("x", 4096)
	if _, err := w.Do(t.Context(), w.hand(t, w.sign(t, large, "2.0.0"), false)); !errors.Is(err, gateway.ErrInvalid) || errors.Is(err, errNotUp) {
		t.Fatalf("%v", err)
	}
	w.runs(t, "1.0.0")
	if mark := w.mark(); mark != 0xA5 {
		t.Errorf("the mark is %x, want that of a confirmed image", mark)
	}
}

// TestUpdateGoesOn: after the power of the microcontroller is cut, and after the gateway
// was stopped, with what is stored already.
func TestUpdateGoesOn(t *testing.T) {
	w := newWorkshop(t, nil)
	w.open(t)
	file := w.sign(t, firmware("1.1.0"), "1.1.0")
	cmd := w.hand(t, file, false)
	w.mcu.Memory(func(f *linktest.Flash) { f.CutAfter = 2 })
	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		defer stop()
		for w.writes() == 0 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
	})
	defer watching.Wait()
	defer stop()
	if _, err := w.Do(ctx, cmd); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatalf("cut short: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := New(w.config, bus.New(bus.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	again.KeepFiles(w.dir)
	if err := again.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := os.Stat(filepath.Join(w.dir, keptImage)); err != nil { // else it was done before the stop
		cmd.Resumed = true
		if values, err := again.Do(t.Context(), cmd); err != nil || values["version"] != "1.1.0" {
			t.Fatalf("%v, %v", values, err)
		}
	}
	w.runs(t, "1.1.0")
}

func TestFirmwareKeysAreChecked(t *testing.T) {
	c := Config{Port: "/dev/x", Baud: 115200, DTR: bus.Keep, RTS: bus.Keep, FirmwareKeys: []string{"abc"}}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "firmware_keys[0]: is no public key") {
		t.Errorf("%v", err)
	}
}

// TestLoaderAlone: a part that never had firmware can be given some.
func TestLoaderAlone(t *testing.T) {
	w := newWorkshop(t, nil)
	w.mcu.Memory(func(f *linktest.Flash) { f.Mark = 0xFF })
	w.open(t)
	if err := w.Run(t.Context(), &drivertest.Sink{}); !errors.Is(err, errLoader) {
		t.Errorf("Run: %v", err)
	}
	if a := w.Actions(); len(a) != 1 || a[0].Name != updateFirmware {
		t.Errorf("%+v", a)
	}
	if _, err := w.Do(t.Context(), w.hand(t, w.sign(t, firmware("1.0.0"), "1.0.0"), false)); err != nil {
		t.Fatal(err)
	}
	w.runs(t, "1.0.0")
}

// TestResetBehindNonsense: what is lost by a reset is told, even if it is not known before
// the next one who is there.
func TestResetBehindNonsense(t *testing.T) {
	w := newWorkshop(t, nil)
	w.open(t)
	conn, err := w.use()
	if err != nil {
		t.Fatal(err)
	}
	sink := &drivertest.Sink{}
	said := teller{Dev: w.Dev, conn: conn, sink: sink}
	w.beginUpdate(0) // else nonsense ends the stream
	for i, image := range []string{"device nonsense\n", firmware("1.0.0")} {
		w.mcu.Memory(func(f *linktest.Flash) { copy(f.Bytes, image) })
		before := conn.Stats().Resets
		w.mcu.Reset(1)
		eventually(t, "the reset is noticed", func() bool { return conn.Stats().Resets > before })
		if err := said.began(t.Context(), link.Began{Hello: link.Hello{Role: link.Application}, Start: link.Booted, Known: true, Before: uint32(3 - 3*i)}); err != nil {
			t.Fatal(err)
		}
	}
	if gaps := sink.Gaps(); len(gaps) != 1 || gaps[0].First != 4 || gaps[0].Reason != gateway.GapReset {
		t.Errorf("%+v, want one from 4 on", gaps)
	}
}

// TestApplicationThatIsGone: the first firmware of a part, which was reset into the loader
// before anybody could ask it what it can do, is not asked.
func TestApplicationThatIsGone(t *testing.T) {
	w := newWorkshop(t, nil)
	w.mcu.Memory(func(f *linktest.Flash) { f.Mark = 0xFF })
	w.open(t)
	conn, err := w.use()
	if err != nil {
		t.Fatal(err)
	}
	sink := &drivertest.Sink{}
	said := teller{Dev: w.Dev, conn: conn, sink: sink}
	w.beginUpdate(0)
	gone := link.Began{Hello: link.Hello{Role: link.Application}, Start: link.Booted, Known: true}
	if err := said.began(t.Context(), gone); err != nil || len(sink.Batches()) > 0 {
		t.Errorf("%v is told (%v)", sink.Batches(), err)
	}
	if said.untold != gone {
		t.Errorf("what is to be told later is %+v", said.untold)
	}
}
