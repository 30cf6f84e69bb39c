package upload

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink"
)

const text = "the quick brown fox jumps over the lazy dog" // 5 blocks

// names lists a spool.
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// checkDone fails unless the cloud has the file, and the spool has not.
func checkDone(t *testing.T, dir string, m *memory, up Upload) {
	t.Helper()
	sum := md5.Sum([]byte(text))
	if up.State != Done || up.Sent != int64(len(text)) || up.Blob != "d1/a.txt" || up.Finished.IsZero() || up.Detail != "" {
		t.Errorf("upload %+v", up)
	}
	if string(m.blob) != text || !bytes.Equal(m.content.MD5, sum[:]) || !strings.HasPrefix(m.content.Type, "text/plain") {
		t.Errorf("the storage has %q, %+v", m.blob, m.content)
	}
	if left := names(t, dir); len(left) != 1 || left[0] != up.ID+".json" {
		t.Errorf("left in the spool: %v", left)
	}
}

func TestUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, m := t.TempDir(), newMemory()
		b := open(t, dir, m).run()
		defer b.stop()
		up := b.wait(b.accept("a.txt", text).ID)
		checkDone(t, dir, m, up)
		if len(m.tickets) != 0 || len(m.reports) != 1 || !m.reports[0].OK || m.reports[0].Status != 201 || m.step != 8 {
			t.Errorf("%d steps, reports %+v, open %v", m.step, m.reports, m.tickets)
		}
		m.written = false
		if empty := b.wait(b.accept("empty", "").ID); empty.State != Done || !m.written || len(m.blob) != 0 {
			t.Errorf("an empty file: %+v", empty)
		}
	})
}

// TestEveryStepMayFail, in every way: the file arrives all the same.
func TestEveryStepMayFail(t *testing.T) {
	for name, fault := range map[string]error{
		"an error": errors.New("broken"), "a lost answer": errLost, "refused": uplink.ErrRefused,
		"not ready": uplink.ErrNotReady, "busy": &Later{After: time.Minute, Err: errors.New("busy")},
		"ticket": ErrTicket, "blocks": ErrBlocks,
	} {
		for step := 1; step <= 8; step++ {
			t.Run(fmt.Sprintf("%s at %d", name, step), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					dir, m := t.TempDir(), newMemory()
					m.at = func(n int, _ string) error {
						if n == step {
							return fault
						}
						return nil
					}
					b := open(t, dir, m).run()
					up := b.wait(b.accept("a.txt", text).ID)
					b.stop()
					checkDone(t, dir, m, up)
					if lost := step == 1 && errors.Is(fault, errLost); !lost && len(m.tickets) != 0 {
						t.Errorf("not given back: %v", m.tickets)
					}
				})
			})
		}
	}
}

// TestEveryStepMayBeTheLast: the gateway is stopped there, and a new one goes
// on. No block is sent twice that has arrived.
func TestEveryStepMayBeTheLast(t *testing.T) {
	for _, lost := range []bool{false, true} {
		for step := 1; step <= 8; step++ {
			t.Run(fmt.Sprintf("%d, %v", step, lost), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					dir, m := t.TempDir(), newMemory()
					b := open(t, dir, m)
					ctx, stop := context.WithCancel(t.Context())
					m.at = func(n int, _ string) error {
						switch {
						case n == step:
							stop()
							if lost {
								return errLost
							}
							return ctx.Err()
						case n > step:
							return ctx.Err()
						}
						return nil
					}
					up := b.accept("a.txt", text)
					if err := b.Run(ctx); err != nil {
						t.Fatal(err)
					}
					m.at = func(int, string) error { return nil }
					b = open(t, dir, m).run()
					up = b.wait(up.ID)
					b.stop()
					checkDone(t, dir, m, up)
					if m.puts != 5 {
						t.Errorf("%d blocks were sent, want 5", m.puts)
					}
				})
			})
		}
	}
}

// TestTicketThatEnds again and again: each new one goes on where the storage is.
func TestTicketThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, m := t.TempDir(), newMemory()
		m.at = func(n int, what string) error {
			if what == "put" && n%2 == 0 {
				clear(m.tickets)
			}
			return nil
		}
		b := open(t, dir, m).run()
		up := b.wait(b.accept("a.txt", text).ID)
		b.stop()
		checkDone(t, dir, m, up)
		if m.puts != 5 || m.numbers < 3 {
			t.Errorf("%d blocks, %d tickets", m.puts, m.numbers)
		}
	})
}

// TestTicketThatOnlyWrites: who may not ask for the blocks sends them all.
func TestTicketThatOnlyWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, m := t.TempDir(), newMemory()
		m.at = func(n int, what string) error {
			switch {
			case what == "blocks":
				return ErrTicket
			case n == 4:
				return errors.New("broken")
			}
			return nil
		}
		b := open(t, dir, m).run()
		up := b.wait(b.accept("a.txt", text).ID)
		b.stop()
		checkDone(t, dir, m, up)
		if len(m.tickets) != 0 {
			t.Errorf("not given back: %v", m.tickets)
		}
	})
}

// TestTicketThatCannotBeNoted goes back at once: the hub has ten.
func TestTicketThatCannotBeNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, m := filepath.Join(t.TempDir(), "spool"), newMemory()
		m.at = func(n int, what string) (err error) {
			switch {
			case what == "begin" && n < 40:
				err = os.Rename(dir, dir+"-gone")
			case what == "report" && n <= 40:
				err = os.Rename(dir+"-gone", dir)
			}
			return err
		}
		b := open(t, dir, m).run()
		up := b.wait(b.accept("a.txt", text).ID)
		b.stop()
		checkDone(t, dir, m, up)
		if len(m.tickets) != 0 || m.numbers < 20 {
			t.Errorf("of %d tickets not given back: %v", m.numbers, m.tickets)
		}
	})
}

// TestOneThatFailsLetsOthersPass, and what is wrong is told.
func TestOneThatFailsLetsOthersPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		broken := true
		m.at = func(int, string) error { return nil }
		b := open(t, t.TempDir(), cloudFor{m, func(name string) error {
			if broken && name == "bad" {
				return errors.New("no luck")
			}
			return nil
		}}).run()
		defer b.stop()
		bad := b.accept("bad", text)
		time.Sleep(10 * time.Minute)
		if c := b.health.Conditions(); len(c) != 1 || !strings.Contains(c[0].Summary, "no luck") {
			t.Errorf("conditions %+v", c)
		}
		for i := range 3 {
			if up := b.wait(b.accept(fmt.Sprint("good", i), text).ID); up.State != Done {
				t.Errorf("%+v", up)
			}
		}
		up, err := b.Get(bad.ID)
		if err != nil || up.State != Waiting || up.Failures < tolerated || up.Detail != "no luck" {
			t.Errorf("%+v, %v", up, err)
		}
		m.mu.Lock()
		broken = false
		m.mu.Unlock()
		if up := b.wait(bad.ID); up.State != Done {
			t.Errorf("%+v", up)
		}
		synctest.Wait()
		if c := b.health.Conditions(); len(c) != 0 {
			t.Errorf("conditions %+v", c)
		}
	})
}

// TestCanceledLeavesNoCondition: what cannot be sent is no trouble any more once
// nobody wants it.
func TestCanceledLeavesNoCondition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, t.TempDir(), cloudFor{newMemory(), func(string) error { return errors.New("no luck") }}).run()
		defer b.stop()
		up := b.accept("bad", text)
		time.Sleep(10 * time.Minute)
		if c := b.health.Conditions(); len(c) != 1 {
			t.Errorf("conditions %+v", c)
		}
		if err := b.Cancel(up.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if c := b.health.Conditions(); len(c) != 0 {
			t.Errorf("conditions %+v", c)
		}
	})
}

// TestNewFilesDoNotPress: a program that hands in file after file does not make
// the gateway ask at each of them, nor before the hub wants to be asked.
func TestNewFilesDoNotPress(t *testing.T) {
	for name, tc := range map[string]struct {
		fault error
		most  int // attempts in two minutes
	}{
		"busy":   {&Later{After: 10 * time.Minute, Err: errors.New("busy")}, 1},
		"broken": {errors.New("broken"), 150},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				b := open(t, t.TempDir(), cloudFor{newMemory(), func(string) error { attempts++; return tc.fault }}).run()
				for i := range 240 {
					b.accept(fmt.Sprint("f", i), "x")
					time.Sleep(500 * time.Millisecond)
				}
				b.stop()
				if attempts > tc.most || attempts == 0 {
					t.Errorf("%d attempts, want 1 to %d", attempts, tc.most)
				}
			})
		})
	}
}

// cloudFor refuses to begin some uploads.
type cloudFor struct {
	*memory
	begin func(name string) error
}

func (c cloudFor) Open(context.Context) (Session, error) {
	return choosy{memorySession{c.memory}, c.begin}, nil
}

type choosy struct {
	memorySession
	begin func(name string) error
}

func (c choosy) Begin(ctx context.Context, name string) (Ticket, error) {
	c.mu.Lock()
	err := c.begin(name)
	c.mu.Unlock()
	if err != nil {
		return Ticket{}, err
	}
	return c.memorySession.Begin(ctx, name)
}

func TestNeverTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for step, left := range map[int]int{1: 0, 4: 0} { // at the beginning; at a block
			dir, m := t.TempDir(), newMemory()
			m.at = func(n int, _ string) error {
				if n == step {
					return fmt.Errorf("too bad: %w", gateway.ErrInvalid)
				}
				return nil
			}
			b := open(t, dir, m).run()
			up := b.wait(b.accept("a.txt", text).ID)
			synctest.Wait()
			b.stop()
			if up.State != Failed || !strings.Contains(up.Detail, "too bad") || len(m.tickets) != left || m.written {
				t.Errorf("step %d: %+v, open %v", step, up, m.tickets)
			}
			if step > 1 && (len(m.reports) != 1 || m.reports[0].OK || !strings.Contains(m.reports[0].Detail, "too bad")) {
				t.Errorf("reports %+v", m.reports)
			}
			if list := names(t, dir); len(list) != 1 {
				t.Errorf("left in the spool: %v", list)
			}
		}
	})
}

// TestCancel at each step: the storage gets nothing more, the hub is told, also
// after a restart.
func TestCancel(t *testing.T) {
	for step := 1; step <= 7; step++ {
		for _, answer := range []error{errLost, nil} {
			t.Run(fmt.Sprint(step, answer), func(t *testing.T) { testCancel(t, step, answer) })
		}
	}
}

// testCancel cancels while a step is taken, which then has an answer.
func testCancel(t *testing.T, step int, answer error) {
	synctest.Test(t, func(t *testing.T) {
		dir, m := t.TempDir(), newMemory()
		m.deaf = true
		reached, canceled := make(chan struct{}), make(chan struct{})
		m.at = func(n int, _ string) error {
			if n == step {
				close(reached)
				<-canceled
				return answer
			}
			return nil
		}
		b := open(t, dir, m).run()
		up := b.accept("a.txt", text)
		<-reached
		if err := b.Cancel(up.ID); err != nil {
			t.Fatal(err)
		}
		close(canceled)
		if up = b.wait(up.ID); up.State != Canceled || up.Detail != "canceled" {
			t.Errorf("%+v", up)
		}
		time.Sleep(time.Minute)
		b.stop()
		if (step > 1 || answer == nil) && (len(m.tickets) != 0 || len(m.reports) != 1 || m.reports[0].OK) { // else the ticket is lost with the answer
			t.Errorf("open %v, reports %+v", m.tickets, m.reports)
		}
		if list := names(t, dir); len(list) != 1 {
			t.Errorf("left in the spool: %v", list)
		}
		if err := b.Cancel(up.ID); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("twice: %v", err)
		}
	})
}

// TestCancelInterrupts what would hang for two minutes.
func TestCancelInterrupts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, hang := newMemory(), true
		b := open(t, t.TempDir(), hanging{m, &hang}).run()
		defer b.stop()
		up := b.accept("a.txt", text)
		synctest.Wait()
		if err := b.Cancel(up.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(m.reports) != 1 || len(m.tickets) != 0 {
			t.Errorf("the hub is not told at once: %+v", m.reports)
		}
	})
}

func TestCancelOfOneThatHasNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, m := t.TempDir(), newMemory()
		b := open(t, dir, m)
		up := b.accept("a.txt", text)
		if err := b.Cancel(up.ID); err != nil {
			t.Fatal(err)
		}
		b = open(t, dir, m).run()
		time.Sleep(time.Minute)
		b.stop()
		if up, err := b.Get(up.ID); err != nil || up.State != Canceled || m.step != 0 {
			t.Errorf("%+v, %v, %d steps", up, err, m.step)
		}
		if err := b.Cancel("none"); !errors.Is(err, ErrUnknown) {
			t.Errorf("no such: %v", err)
		}
	})
}

// TestSpoolIsBounded: what does not fit leaves nothing behind, and what has
// been delivered makes room.
func TestSpoolIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, m := t.TempDir(), newMemory()
		b := open(t, dir, m, func(o *Options) { o.MaxBytes = 100 })
		first := b.accept("a", strings.Repeat("x", 60))
		for _, size := range []int64{41, -1} {
			_, err := b.Accept(t.Context(), Request{Name: "b", Size: size}, strings.NewReader(strings.Repeat("y", 41)))
			if !errors.Is(err, gateway.ErrFull) || !strings.Contains(err.Error(), "uploads.max_bytes is 100") {
				t.Errorf("size %d: %v", size, err)
			}
		}
		for size, body := range map[int64]io.Reader{10: strings.NewReader("short"), 3: strings.NewReader("long"), -1: io.MultiReader(strings.NewReader("x"), broken{})} {
			if _, err := b.Accept(t.Context(), Request{Name: "b", Size: size}, body); err == nil {
				t.Errorf("size %d: accepted", size)
			}
		}
		if list := names(t, dir); len(list) != 2 {
			t.Errorf("left in the spool: %v", list)
		}
		b.accept("c", strings.Repeat("x", 40))
		b = open(t, dir, m, func(o *Options) { o.MaxBytes = 100 }) // which counts what is there
		if _, err := b.Accept(t.Context(), Request{Name: "d", Size: 1}, strings.NewReader("x")); !errors.Is(err, gateway.ErrFull) {
			t.Errorf("after a restart: %v", err)
		}
		b.SetMaxBytes(101)
		if _, err := b.Accept(t.Context(), Request{Name: "e", Size: 1}, strings.NewReader("x")); err != nil {
			t.Errorf("after the bound was raised: %v", err)
		}
		b.run()
		defer b.stop()
		b.wait(first.ID)
		b.accept("d", "x")
	})
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("gone") }

// TestReserveOfTheDisk: more than there is cannot stay free.
func TestReserveOfTheDisk(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir, newMemory(), func(o *Options) { o.MinFree = 1 << 60 })
	if _, err := b.Accept(t.Context(), Request{Name: "a", Size: -1}, strings.NewReader("x")); !errors.Is(err, gateway.ErrFull) {
		t.Errorf("got %v", err)
	}
	if list := names(t, dir); len(list) != 0 {
		t.Errorf("left in the spool: %v", list)
	}
}

// TestDiskThatIsFull refuses the file, whatever was free a moment ago.
func TestDiskThatIsFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	in := &intake{u: open(t, t.TempDir(), newMemory()).Uploader, ctx: t.Context(), body: strings.NewReader(text), want: -1, sum: md5.New()}
	if err := in.fill(full); !errors.Is(err, gateway.ErrFull) {
		t.Errorf("got %v", err)
	}
}

// TestSpoolWithRubbish: what a crash leaves behind goes, and what cannot be
// read is set aside; the rest is uploaded.
func TestSpoolWithRubbish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, m := t.TempDir(), newMemory()
		b := open(t, dir, m)
		good, torn := b.accept("a.txt", text), b.accept("b.txt", text)
		for name, content := range map[string]string{
			"x.part": "half", "y.data": "no record", "z.json": "{", "z.data": "kept", "w.json": "{}", "v.json.new": "{", "note.txt": "mine",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Truncate(filepath.Join(dir, torn.ID+".data"), 3); err != nil {
			t.Fatal(err)
		}
		b = open(t, dir, m).run()
		if up := b.wait(good.ID); up.State != Done {
			t.Errorf("%+v", up)
		}
		b.stop()
		// A crash between the record and the removal of the file.
		if err := os.WriteFile(filepath.Join(dir, good.ID+".data"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		open(t, dir, m)
		want := []string{good.ID + ".json", "note.txt", torn.ID + ".data.bad", torn.ID + ".json.bad", "w.json.bad", "z.data.bad", "z.json.bad"}
		slices.Sort(want)
		if list := names(t, dir); !slices.Equal(list, want) {
			t.Errorf("left %v, want %v", list, want)
		}
	})
}

func TestSameKeyIsTheSameUpload(t *testing.T) {
	dir, m := t.TempDir(), newMemory()
	b := open(t, dir, m)
	req := Request{Name: "a", Size: 1, Key: "c1"}
	first, err := b.Accept(t.Context(), req, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	b = open(t, dir, m)
	if again, err := b.Accept(t.Context(), req, broken{}); err != nil || again.ID != first.ID || len(b.List()) != 1 {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestOldOnesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, m := t.TempDir(), newMemory()
		b := open(t, dir, m).run()
		defer b.stop()
		var last Upload
		for i := range remembered + 5 {
			last = b.wait(b.accept(fmt.Sprint("f", i), "x").ID)
		}
		synctest.Wait()
		if list := b.List(); len(list) != remembered || list[len(list)-1].ID != last.ID || list[0].Name != "f5" {
			t.Errorf("%d are remembered", len(list))
		}
		if list := names(t, dir); len(list) != remembered {
			t.Errorf("left in the spool: %v", list)
		}
	})
}

// TestHeld: nothing is sent as long as that is the word, also in the midst.
func TestHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, m := t.TempDir(), newMemory()
		m.at = func(int, string) error { return nil }
		b := open(t, dir, m, func(o *Options) {
			o.Held = func() string {
				if m.puts >= 2 && time.Now().Before(time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC)) {
					return "the plan is used up"
				}
				return ""
			}
		}).run()
		up := b.accept("a.txt", text)
		time.Sleep(30 * time.Minute)
		now, _ := b.Get(up.ID)
		if m.puts != 2 || now.State != Waiting || now.Failures != 0 || !strings.Contains(now.Detail, "the plan is used up") {
			t.Errorf("%d blocks, %+v", m.puts, now)
		}
		up = b.wait(up.ID)
		b.stop()
		checkDone(t, dir, m, up)
	})
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "logs/day 1#ü?.txt": true, ".hidden": true, strings.Repeat("x", MaxNameBytes): true,
		"": false, "/a": false, "a/": false, "a//b": false, "..": false, "a/../b": false, "a.": false, "a\\b": false,
		"a\n": false, "\xff": false, strings.Repeat("x", MaxNameBytes+1): false, strings.Repeat("a/", 251) + "a": false,
	} {
		if err := CheckName(name); (err == nil) != ok || err != nil && !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%.40q: %v", name, err)
		}
	}
}

// TestPauses: never a storm, never more than asked for.
func TestPauses(t *testing.T) {
	b := backoff{min: time.Second, max: time.Minute}
	for range 20 {
		if d := b.after(errors.New("x")); d < 100*time.Millisecond || d > time.Minute {
			t.Errorf("pause %v", d)
		}
	}
	if d := b.after(uplink.ErrRefused); d < 30*time.Second {
		t.Errorf("after a refusal: %v", d)
	}
	for after, limits := range map[time.Duration][2]time.Duration{
		10 * time.Second: {10 * time.Second, 11 * time.Second}, 0: {time.Second, 2 * time.Second}, 1000 * time.Hour: {time.Hour, time.Hour + time.Second},
	} {
		if d := b.after(fmt.Errorf("x: %w", &Later{After: after, Err: errors.New("busy")})); d < limits[0] || d > limits[1] {
			t.Errorf("asked to wait %v: %v", after, d)
		}
	}
}

// TestStall: an attempt that does not move is given up; one that is slow is
// not.
func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, m := t.TempDir(), newMemory()
		hang := true
		b := open(t, dir, hanging{m, &hang}, func(o *Options) { o.Pace = slow{} }).run()
		begun := time.Now()
		up := b.wait(b.accept("a.txt", text).ID)
		b.stop()
		checkDone(t, dir, m, up)
		// One block hangs for two minutes; ten pieces wait for a minute each.
		if took := time.Since(begun); took < 12*time.Minute || took > 16*time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

// slow is a line on which each piece waits.
type slow struct{}

func (slow) Wait(ctx context.Context) error {
	select {
	case <-time.After(time.Minute):
	case <-ctx.Done():
	}
	return ctx.Err()
}

// hanging never answers to the first block.
type hanging struct {
	*memory
	hang *bool
}

func (h hanging) Open(context.Context) (Session, error) {
	return hangingSession{memorySession{h.memory}, h.hang}, nil
}

type hangingSession struct {
	memorySession
	hang *bool
}

func (h hangingSession) Put(ctx context.Context, t Ticket, id string, body io.Reader, size int64) error {
	if *h.hang {
		*h.hang = false
		<-ctx.Done()
		return ctx.Err()
	}
	return h.memorySession.Put(ctx, t, id, body, size)
}
