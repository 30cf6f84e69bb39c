package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/command"
	"github.com/fieldpost/fieldpost/gateway/service"
	"github.com/fieldpost/fieldpost/storeforward"
)

// fillJournal puts a command in each state into it, the last one of a child.
func fillJournal(t *testing.T, q *storeforward.Queue) {
	t.Helper()
	j := q.Journal()
	for i, id := range []string{"waits", "runs", "done", "denied", command.JournalID("node7", "done")} {
		cmd := gateway.Command{
			ID: id, Device: "bench", Action: "pulse", Args: map[string]any{"ms": 20.0}, Origin: gateway.OriginC2D,
			Received: time.Date(2026, 11, 24, 12, i, 0, 0, time.UTC),
		}
		if i == 4 {
			cmd.Device = "node"
		}
		_, _, err := j.Begin(t.Context(), cmd)
		if err == nil && i > 0 && i != 3 {
			err = j.Start(t.Context(), id)
		}
		result := gateway.Result{CommandID: id, Device: cmd.Device, Action: cmd.Action, Status: gateway.StatusDone, Finished: cmd.Received.Add(time.Second)}
		if i == 3 {
			result.Status, result.Detail = gateway.StatusDenied, "the valve is closed"
		}
		if i == 2 {
			result.Values = map[string]any{"relay": true}
		}
		if err == nil && i > 1 {
			err = j.Finish(t.Context(), result)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestCommandsOfAGatewayThatStandsStill, and of one that runs.
func TestCommandsOfAGatewayThatStandsStill(t *testing.T) {
	b := newBoard(t)
	out, _ := b.want(t, exitUnavailable, "commands", "ls")
	wantText(t, "without a queue", out, "")
	b.with(t, func(q *storeforward.Queue) { fillJournal(t, q) })
	look := func() {
		out, _ := b.want(t, 0, "commands", "ls")
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if len(lines) != 6 || !strings.HasPrefix(lines[1], "node7 done") || !strings.HasPrefix(lines[5], "waits") {
			t.Errorf("ls:\n%s", out)
		}
		wantText(t, "ls", out, "received", "started", "denied", "the valve is closed", "c2d")
		for _, tt := range []struct {
			args []string
			want []string
		}{
			{[]string{"--device", "bench", "--limit", "2"}, []string{"denied", "done"}},
			{[]string{"--status", "done"}, []string{"done", "done"}},
			{[]string{"--status", "received"}, []string{"waits"}},
			{[]string{"--status", "expired"}, nil},
		} {
			out, _ := b.want(t, 0, append([]string{"commands", "ls", "--json"}, tt.args...)...)
			var ids []string
			for line := range strings.Lines(out) {
				var r service.CommandRecord
				if err := json.Unmarshal([]byte(line), &r); err != nil {
					t.Fatal(err)
				}
				ids = append(ids, r.ID)
			}
			if fmt.Sprint(ids) != fmt.Sprint(tt.want) {
				t.Errorf("%v: %v, want %v", tt.args, ids, tt.want)
			}
		}
		out, _ = b.want(t, 0, "commands", "show", "done")
		wantText(t, "show", out, "bench", `{"ms":20}`, "c2d", "never", "done", `{"relay":true}`, "took")
		out, _ = b.want(t, 0, "commands", "show", "done", "--child", "node7", "--json")
		var r service.CommandRecord
		if err := json.Unmarshal([]byte(out), &r); err != nil || r.Child != "node7" || r.Device != "node" || r.Started.IsZero() || r.Finished.IsZero() || r.TookMS == nil {
			t.Errorf("%s: %v", out, err)
		}
		_, errs := b.want(t, 1, "commands", "show", "nobody")
		wantText(t, "show", errs, `no command "nobody"`)
	}
	look()
	q := b.open(t)
	defer q.Close() //nolint:errcheck // nothing is written
	b.serve(t, q)
	look()
	b.want(t, exitUsage, "commands", "ls", "--status", "lost")
	b.want(t, 1, "commands", "ls", "--limit", "0")
}
