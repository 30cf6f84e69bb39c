package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/fieldpost/fieldpost/gateway/service"
	"github.com/fieldpost/fieldpost/storeforward"
)

func TestDeadLetters(t *testing.T) {
	b := newBoard(t)
	var first, second string
	b.with(t, func(q *storeforward.Queue) {
		first = reject(t, q, `{"a":1}`, "too large for the hub").String()
		second = reject(t, q, `plain text`, "not\nallowed").String()
	})
	out, _ := b.want(t, 0, "deadletters", "ls")
	wantText(t, "ls", out, first, second, "-telemetry-1", "too large for the hub", "not allowed", "  7  ", "  10  ")
	out, _ = b.want(t, 0, "deadletters", "ls", "--json")
	var l letter
	if err := json.Unmarshal([]byte(strings.SplitAfter(out, "\n")[1]), &l); err != nil || l.ID != second || l.Bytes != 10 || l.Reason != "not\nallowed" {
		t.Errorf("%s: %v", out, err)
	}
	out, _ = b.want(t, 0, "deadletters", "export")
	var m service.ExportedMessage
	if err := json.Unmarshal([]byte(strings.SplitAfter(out, "\n")[0]), &m); err != nil || m.ID != first || !strings.Contains(string(m.Body), `"body":{"a":1}`) {
		t.Errorf("%s: %v", out, err)
	}

	out, _ = b.want(t, 0, "deadletters", "retry", first)
	wantText(t, "retry", out, first+" is sent again as ", "-telemetry-3")
	out, _ = b.want(t, 0, "queue", "export", "telemetry")
	wantText(t, "sent again", out, `"seq":3`, `"body":{"a":1}`)
	_, errs := b.want(t, 1, "deadletters", "retry", first, second)
	wantText(t, "retry of one that is gone", errs, "there is no dead letter "+first, "1 of 2 dead letters stay")
	out, _ = b.want(t, 0, "deadletters", "ls")
	wantText(t, "empty", out, "there are no dead letters")
}

func TestDeleteDeadLetters(t *testing.T) {
	b := newBoard(t)
	const letters = service.MaxLetters + 5
	b.with(t, func(q *storeforward.Queue) {
		for range letters {
			reject(t, q, `{}`, "no")
		}
	})
	for _, args := range [][]string{{}, {"x-deadletter-1", "--all"}} {
		_, errs := b.want(t, 2, append([]string{"deadletters", "delete", "--yes"}, args...)...)
		wantText(t, "which?", errs, "or --all")
	}
	_, errs := b.want(t, 2, "deadletters", "delete", "--all")
	wantText(t, "without a yes", errs, "105 dead letters", "--yes")
	_, errs = b.want(t, 1, "deadletters", "delete", "--yes", "nonsense")
	wantText(t, "no id", errs, "want <store>-<lane>-<seq>")
	out, _ := b.want(t, 0, "deadletters", "delete", "--all", "--yes")
	wantText(t, "delete", out, "105 dead letters deleted")
	out, _ = b.want(t, 0, "deadletters", "ls", "--json")
	if out != "" {
		t.Errorf("still there: %s", out)
	}
}
