package bus

import (
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

// TestReadsOverlapWrites: what was read does not undo what is known of a write that
// came after it.
func TestReadsOverlapWrites(t *testing.T) {
	var k Known
	on, off := gateway.Bool(true), gateway.Bool(false)
	k.Reads()("valve", off)
	if got := k.State()["valve"]; got != off {
		t.Errorf("read off: it is %v", got)
	}
	for name, set := range map[string]func(){
		"written":           func() { k.Know("valve", on) },
		"a write fails":     func() { k.Know("valve", on); k.Forget("valve") },
		"the device closes": func() { k.Know("valve", on); k.ForgetAll() },
	} {
		found := k.Reads()
		set()
		want, known := k.State()["valve"]
		found("valve", off)
		if got, is := k.State()["valve"]; got != want || is != known {
			t.Errorf("%s meanwhile: it is %v, %t; want %v, %t", name, got, is, want, known)
		}
		k.Reads()("valve", off)
		if got := k.State()["valve"]; got != off {
			t.Errorf("%s, and read again: it is %v", name, got)
		}
	}
}
