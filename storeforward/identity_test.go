package storeforward

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/gateway"
)

// mustClose closes before the end of the test.
func mustClose(t testing.TB, q *Queue) {
	t.Helper()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

// copyStore copies a store and its witness, as a backup would.
func copyStore(t *testing.T, from, to string) {
	t.Helper()
	for _, pair := range [][2]string{{from, to}, {witnessPath(from), witnessPath(to)}} {
		if out, err := exec.Command("cp", "-a", pair[0], pair[1]).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}

func removeStore(t *testing.T, dir string) {
	t.Helper()
	for _, path := range []string{dir, witnessPath(dir), ballastPath(dir)} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
}

// storeWith makes a store whose telemetry holds the given bodies, and closes it.
func storeWith(t *testing.T, o Options, bodies ...string) (store string) {
	t.Helper()
	q := mustOpen(t, o)
	for _, body := range bodies {
		mustAppend(t, q, msg(gateway.LaneTelemetry, body))
	}
	mustClose(t, q)
	return q.Store()
}

// TestAStoreThatIsNoLongerItselfGetsANewID: what waits keeps its ids and comes
// first to last; what is new has ids that no receiver has seen.
func TestAStoreThatIsNoLongerItselfGetsANewID(t *testing.T) {
	dir := t.TempDir()
	if fp, err := takeFingerprint(dir, ""); err != nil || fp.Inode == 0 {
		t.Skipf("this file system does not number its files steadily: %v", err)
	}
	for name, change := range map[string]func(t *testing.T, o *Options){
		"restored with its witness": func(t *testing.T, o *Options) {
			copyStore(t, o.Dir, o.Dir+"-backup")
			storeWith(t, *o, "three")
			removeStore(t, o.Dir)
			copyStore(t, o.Dir+"-backup", o.Dir)
		},
		"restored beside its witness": func(t *testing.T, o *Options) {
			copyStore(t, o.Dir, o.Dir+"-backup")
			storeWith(t, *o, "three")
			if out, err := exec.Command("sh", "-c", "rm -r "+o.Dir+"/* && cp -a "+o.Dir+"-backup/* "+o.Dir).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		},
		"witness missing": func(t *testing.T, o *Options) {
			if err := os.Remove(witnessPath(o.Dir)); err != nil {
				t.Fatal(err)
			}
		},
		"another board": func(_ *testing.T, o *Options) {
			o.board = func() string { return "another" }
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(filepath.Join(t.TempDir(), "queue"))
			o.board = func() string { return "this" }
			before := storeWith(t, o, "one", "two")
			change(t, &o)
			q := mustOpen(t, o)
			if q.Store() == before {
				t.Fatal("the store has kept its id")
			}
			ids := mustAppend(t, q, msg(gateway.LaneTelemetry, "new"))
			if ids[0].Seq != 1 || ids[0].Store != q.Store() {
				t.Errorf("the first new message is %s", ids[0])
			}
			wantInherited(t, q, before, []string{"one", "two"})
			mustClose(t, q)
			after := q.Store()
			if q = mustOpen(t, o); q.Store() != after {
				t.Error("the id has changed once more, for no reason")
			}
		})
	}
}

// wantInherited drains what is of the old store, with its ids, and what is new.
func wantInherited(t *testing.T, q *Queue, old string, bodies []string) {
	t.Helper()
	var got []string
	fresh := false
	for len(got) < len(bodies) || !fresh {
		m := mustNext(t, q)
		switch {
		case m.Kind == gateway.KindGap:
		case m.ID.Store == old:
			if got = append(got, string(m.Body)); m.ID.Seq != uint64(len(got)) {
				t.Errorf("%s comes as number %d", m.ID, len(got))
			}
		default:
			fresh = true
		}
		if err := q.Ack(m.ID); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got, bodies) {
		t.Errorf("of the old store: %q, want %q", got, bodies)
	}
}

// TestWhatTheWitnessKnowsAndTheStoreDoesNotIsAGap: the numbers were given out,
// and a receiver may have seen them.
func TestWhatTheWitnessKnowsAndTheStoreDoesNotIsAGap(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	before := storeWith(t, o, "one", "two")
	if out, err := exec.Command("cp", "-a", o.Dir, o.Dir+"-backup").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	storeWith(t, o, "three", "four")
	if err := os.RemoveAll(o.Dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(o.Dir+"-backup", o.Dir); err != nil {
		t.Fatal(err)
	}
	q := mustOpen(t, o)
	if q.Store() == before {
		t.Fatal("the store has kept its id")
	}
	gaps := toldGaps(t, q)
	if len(gaps) != 1 || gaps[0].Store != before || gaps[0].First != 3 || gaps[0].Last != 4 || gaps[0].Reason != gateway.GapDamaged {
		t.Errorf("gaps %+v", gaps)
	}
}

// TestAWipedStoreBeginsAnew, with another id, and says what is gone with it.
func TestAWipedStoreBeginsAnew(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	before := storeWith(t, o, "one", "two")
	if err := os.RemoveAll(o.Dir); err != nil {
		t.Fatal(err)
	}
	q := mustOpen(t, o)
	if q.Store() == before {
		t.Error("the store has the id of the one before")
	}
	if ids := mustAppend(t, q, msg(gateway.LaneTelemetry, "new")); ids[0].Seq != 1 {
		t.Errorf("it begins with %s", ids[0])
	}
	gaps := toldGaps(t, q)
	if len(gaps) != 1 || gaps[0].Store != before || gaps[0].First != 1 || gaps[0].Last != 2 {
		t.Errorf("gaps %+v", gaps)
	}
}

// TestAnOrdinaryRestartKeepsTheID, with and without a torn witness.
func TestAnOrdinaryRestartKeepsTheID(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	before := storeWith(t, o, "one")
	for _, torn := range []string{"", "x", witnessMagic + "0123456789012345678901234567890"} {
		if torn != "" {
			if err := os.WriteFile(witnessPath(o.Dir), []byte(torn), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := storeWith(t, o, "more"); got != before {
			t.Errorf("witness %q: the id has changed", torn)
		}
	}
}

// TestInheritedLanesGoWhenTheyAreDrained, from the disk too.
func TestInheritedLanesGoWhenTheyAreDrained(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	before := storeWith(t, o, "one", "two")
	if err := os.Remove(witnessPath(o.Dir)); err != nil {
		t.Fatal(err)
	}
	q := mustOpen(t, o)
	mustAppend(t, q, msg(gateway.LaneTelemetry, "new"))
	list, err := q.ListOf(before, gateway.LaneTelemetry, 2, 10)
	if err != nil || len(list) != 1 || list[0].ID.Store != before || string(list[0].Body) != "two" {
		t.Errorf("listed of the old store: %+v, %v", list, err)
	}
	if _, err := q.ListOf("0123456789ab", gateway.LaneTelemetry, 0, 10); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("of a store that never was: %v", err)
	}
	wantInherited(t, q, before, []string{"one", "two"})
	mustClose(t, q)
	for range 2 { // drained at the end of the first run, removed in the second
		q = mustOpen(t, o)
		waitFor(t, func() bool {
			q.mu.Lock()
			defer q.mu.Unlock()
			return !slices.ContainsFunc(q.lanes, func(l *lane) bool { return l.store == before && l.registered })
		})
		mustClose(t, q)
	}
}

func FuzzDecodeTestimony(f *testing.F) {
	f.Add(testimony{store: "0011aabbccdd", written: 5, deaths: 1, lanes: map[gateway.Lane]standing{"telemetry": {3, 7}}}.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		heard, err := decodeTestimony(data)
		if err == nil && !validStore(heard.store) {
			t.Errorf("store %q", heard.store)
		}
	})
}

// TestTheWitnessKnowsWhatWasConfirmed: if the log of it is lost a moment later,
// nobody else does.
func TestTheWitnessKnowsWhatWasConfirmed(t *testing.T) {
	o := testOptions(filepath.Join(t.TempDir(), "queue"))
	known := make(map[uint64]bool)
	o.step = func(name string) {
		if heard, err := hear(witnessPath(o.Dir)); name == "answered" && err == nil && heard != nil {
			known[heard.lanes[gateway.LaneTelemetry].next-1] = true
		}
	}
	q := mustOpen(t, o)
	const n = 5
	for range n {
		mustAppend(t, q, msg(gateway.LaneTelemetry, "x"))
	}
	mustClose(t, q)
	for seq := uint64(1); seq <= n; seq++ {
		if !known[seq] {
			t.Errorf("message %d is confirmed, and the witness does not know of it", seq)
		}
	}
}

// TestTheWitnessIsNotToldOfAWriteThatFailed: what is left of it in a log is no
// sign of damage.
func TestTheWitnessIsNotToldOfAWriteThatFailed(t *testing.T) {
	o, broken := onDiskThatFails(t)
	q, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, q, msg(gateway.LaneAlerts, "x"))
	before, err := hear(witnessPath(o.Dir))
	if err != nil || before == nil {
		t.Fatal(before, err)
	}
	broken.Store(true)
	if _, err := q.Append(t.Context(), msg(gateway.LaneAlerts, "y")); !errors.Is(err, unix.EIO) {
		t.Fatal(err)
	}
	mustClose(t, q)
	after, err := hear(witnessPath(o.Dir))
	if err != nil || after == nil || after.commit != before.commit {
		t.Errorf("%+v %v, want commit %d", after, err, before.commit)
	}
}
