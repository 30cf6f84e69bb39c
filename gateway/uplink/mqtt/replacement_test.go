package mqtt_test

import (
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/fieldpost/fieldpost/gateway/uplink/mqtt"
)

// replaceable makes the bundle of the field replaceable from afar; a restart is
// told what counts then.
func (f *field) replaceable(standIn string) *mqtt.Replacement {
	r := mqtt.NewReplacement()
	r.Put([]byte(standIn))
	f.options.Replacement, f.options.Proves = r, true
	f.restart()
	return r
}

// proof is "" before there is one.
func (f *field) proof(what string, r *mqtt.Replacement, want string) {
	f.t.Helper()
	known, err := r.Proof()
	got := ""
	if known {
		got = "good"
	}
	if err != nil {
		got = err.Error()
	}
	if got != want && (want == "" || want == "good" || !strings.Contains(got, want)) {
		f.t.Errorf("%s: proof %q, want %q", what, got, want)
	}
}

func (f *field) outdated(what string, want bool) {
	f.t.Helper()
	if got := f.trust.Outdated(); got != want {
		f.t.Errorf("%s: outdated %v", what, got)
	}
}

const (
	fallbackFromHub = "ca-file:hub the server cannot be verified with the new settings.ca, the last one"
	untrusted       = "which is not trusted here"
)

func TestReplacementIsProved(t *testing.T) {
	f := newField(t)
	r := f.replaceable("")
	f.install(f.firstCA)
	f.proof("nothing was tried", r, "")
	f.expect("ca_file", f.first, true, "")
	f.proof("ca_file", r, "good")
	f.outdated("nothing new", false)
	<-r.Judged()

	change := f.trust.Replaced()
	r.Put([]byte(read(t, f.otherCA)))
	<-change
	f.proof("before a connection", r, "")
	f.outdated("before a connection", true)
	f.expect("nobody answers", unused(t), false, "")
	f.expect("wrong", f.first, false, fallbackFromHub)
	f.proof("wrong, but the earlier one may be as well", r, "")
	f.expect("the earlier one", f.first, true, fallbackFromHub)
	f.proof("wrong", r, untrusted)
	f.outdated("the earlier one stays", false)
	<-r.Judged()

	r.Put(nil)
	f.outdated("taken back", false)
	f.proof("taken back", r, "good")
	f.expect("taken back", f.first, true, "")

	r.Put([]byte(read(t, f.firstCA) + read(t, f.otherCA)))
	f.expect("both", f.other, true, "")
	f.proof("both", r, "good")
	if kept := read(t, f.kept()); kept != read(t, f.firstCA)+read(t, f.otherCA) {
		t.Errorf("kept %s", kept)
	}
	r.Put([]byte(read(t, f.firstCA) + read(t, f.otherCA))) // a restart of settings that are as they were
	f.proof("the same again", r, "good")

	r = f.replaceable("") // what was put is forgotten: the copy helps
	f.expect("ca_file", f.other, false, fallback)
	f.expect("the copy", f.other, true, fallback)
	f.proof("ca_file", r, untrusted)
	r.Put([]byte(read(t, f.firstCA) + read(t, f.otherCA)))
	f.outdated("heard of again", false)
	f.proof("heard of again", r, "good")
	f.expect("heard of again", f.other, true, "")
}

// TestReplacementWithoutCAFile: beside a bundle from afar there are the CAs of the
// system, which know neither server.
func TestReplacementWithoutCAFile(t *testing.T) {
	f := newField(t)
	f.options.Bundle = ""
	r := f.replaceable(read(t, f.otherCA))
	f.expect("wrong, at the first start", f.first, false, fallbackFromHub)
	f.expect("the CAs of the system", f.first, false, fallbackFromHub)
	f.proof("neither", r, "")
	r.Put([]byte(read(t, f.firstCA)))
	f.expect("right", f.first, true, "")
	r.Put(nil)
	f.outdated("taken back", true)
	f.expect("taken back", f.first, false, "ca-file:hub the server cannot be verified with the CAs of the system alone")
	f.expect("the copy", f.first, true, "the CAs of the system alone")
	f.proof("taken back", r, untrusted)
}

// TestReplacementAmidFaults: whichever way a kill, or the card, has left the
// copy, a wrong bundle from afar does not cut the board off.
func TestReplacementAmidFaults(t *testing.T) {
	for name, kept := range map[string]string{"absent": "", "torn": "-----BEGIN CERTIFICATE-----\nMII", "zeros": string(make([]byte, 512))} {
		t.Run(name, func(t *testing.T) {
			f := newField(t)
			f.install(f.firstCA)
			f.expect("ca_file", f.first, true, "")
			if err := os.Remove(f.kept()); err != nil {
				t.Fatal(err)
			}
			if kept != "" {
				f.write(f.kept(), kept)
			}
			r := f.replaceable(read(t, f.otherCA))
			f.expect("wrong", f.first, false, fallbackFromHub)
			f.expect("ca_file again", f.first, true, fallbackFromHub)
			f.proof("wrong", r, untrusted)
			if read(t, f.kept()) != read(t, f.firstCA) {
				t.Error("what works has no copy")
			}
		})
	}
}

// A bundle that cannot be gone back to is no reason to give up a connection.
func TestReplacementOfAFileThatIsGone(t *testing.T) {
	f := newField(t)
	r := f.replaceable(read(t, f.firstCA))
	f.expect("right", f.first, true, "")
	r.Put(nil)
	f.outdated("there is nothing to try", false)
	f.proof("there is nothing to try", r, "no such file or directory")
	f.expect("the copy", f.first, true, "no such file or directory; the last one that worked")
}

// Other connections use what was put, and say nothing of it.
func TestReplacementOfOthers(t *testing.T) {
	f := newField(t)
	f.install(f.firstCA)
	r := f.replaceable(read(t, f.otherCA))
	f.options.Proves = false
	f.restart()
	if f.trust.Replaced() != nil {
		t.Error("who proves nothing waits for a change")
	}
	f.expect("what was put", f.other, true, "")
	r.Put([]byte(read(t, f.firstCA)))
	f.expect("wrong", f.other, false, fallbackFromHub)
	r.Put(nil) // which ends the condition, though nobody connects
	if all := f.board.Conditions(); len(all) != 0 {
		t.Errorf("conditions %v", all)
	}
	f.proof("by others", r, "")
}

func TestReplacementWhileConnecting(t *testing.T) {
	f := newField(t)
	f.install(f.firstCA)
	r := f.replaceable("")
	first, both := []byte(read(t, f.firstCA)), []byte(read(t, f.firstCA)+read(t, f.otherCA))
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 50 {
			r.Put(both)
			f.trust.Outdated()
			r.Put(first)
		}
	})
	for range 5 {
		if err := f.connect(f.first); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	f.expect("in the end", f.first, true, "")
	f.proof("in the end", r, "good")
}
