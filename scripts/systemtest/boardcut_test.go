//go:build board

package systemtest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/scripts/board"
)

// TestBoardPowerCut cuts the power of a board while it accepts readings for a hub
// that it cannot reach. In the end all that was confirmed has arrived.
func TestBoardPowerCut(t *testing.T) {
	const cuts = 2
	dir := t.TempDir()
	d := newDisk(t, dir, 256<<20)
	if out, err := exec.Command("mkfs.ext4", "-q", filepath.Join(dir, "disk")).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	b := &boardGateway{hub: startHub(t, dir), seen: -1, data: "/data"}
	const config = "devices: [{id: programs, driver: ingest, socket: " + boardIngest + "}]\n"
	var confirmed []string
	for range cuts {
		b.guest = bootBoard(t, dir, virtual(t, dir).with(d))
		b.call(t, "Mount", board.Mount{Kind: "ext4", Source: "/dev/vda", At: b.data}, nil)
		b.launch(t, config)
		before := len(confirmed)
		confirmed = append(confirmed, b.ingestUntilCut(t, d)...)
		if len(confirmed) == before {
			t.Error("nothing was confirmed before the cut")
		}
	}
	b.guest = bootBoard(t, dir, virtual(t, dir).with(d))
	b.call(t, "Mount", board.Mount{Kind: "ext4", Source: "/dev/vda", At: b.data}, nil)
	b.reachHub(t)
	b.start(t, config)
	eventually(t, time.Minute, func() error {
		arrived := make(map[string]bool)
		for _, e := range b.hub.events(t) {
			arrived[e.System["message-id"]] = true
		}
		for _, id := range confirmed {
			if !arrived[id] {
				return fmt.Errorf("%s was confirmed and has not arrived, with %d others", id, len(arrived))
			}
		}
		return nil
	})
	judgeAudit(t, b.hub)
	t.Logf("%d cuts, %d messages confirmed", cuts, len(confirmed))
}

// ingestUntilCut hands readings in and cuts the power with one of the disk's
// writes. It returns the ids that were confirmed.
func (b *boardGateway) ingestUntilCut(t *testing.T, d *disk) (ids []string) {
	t.Helper()
	lines := make([]string, 10)
	for i := range lines {
		lines[i] = `{"name":"n","value":1}`
	}
	off := d.cutAfter(20 + rand.IntN(80))
	dead := make(chan struct{})
	go func() {
		defer close(dead)
		<-off
		b.process.kill()
	}()
	for {
		var answers []string
		if err := b.try("Ingest", board.Lines{Socket: boardIngest, Lines: lines}, &answers); err != nil {
			break
		}
		for _, a := range answers {
			var answer struct{ ID string }
			if err := json.Unmarshal([]byte(a), &answer); err != nil || answer.ID == "" {
				t.Fatalf("the answer to a line: %s %v", a, err)
			}
			ids = append(ids, answer.ID)
		}
	}
	<-dead
	d.lose(t)
	// As a board does when it starts; 1 is that something was put right.
	check := exec.Command("e2fsck", "-p", d.file.Name())
	if out, err := check.CombinedOutput(); check.ProcessState == nil || check.ProcessState.ExitCode() > 1 {
		t.Fatalf("e2fsck: %v\n%s", err, out)
	}
	return ids
}
