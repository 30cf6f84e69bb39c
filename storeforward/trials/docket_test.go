package trials

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/storeforward"
)

// The states of a command in the journal.
const (
	unknown = iota
	received
	started
	finished
)

// docket is what the writers have been promised of commands.
type docket struct {
	mu       sync.Mutex
	states   map[string]int  // by the id of the command
	reported map[string]bool // the message with the result was handed out
	heard    int             // of how many commands
}

func (d *docket) hear(fields []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if fields[0] == "result" {
		d.reported[fields[1]] = true
		return
	}
	state, _ := strconv.Atoi(fields[1])
	if state == received {
		d.heard++
	}
	d.states[fields[2]] = max(state, d.states[fields[2]])
}

// ids lists the commands, one a line.
func (d *docket) ids() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(slices.Collect(maps.Keys(d.states)), "\n")
}

// journalHolding is what a store holds of commands.
type journalHolding struct {
	States map[string]int
	// Reports are the commands whose results wait.
	Reports []string
}

// tell asks the journal for the commands that in names.
func (h *journalHolding) tell(q *storeforward.Queue, in io.Reader) error {
	h.States = make(map[string]int)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		id := lines.Text()
		e, first, err := q.Journal().Begin(context.Background(), gateway.Command{ID: id, Device: "relay", Action: "on"})
		switch {
		case err != nil:
			return err
		case first:
			h.States[id] = unknown
		case e.Result != nil:
			h.States[id] = finished
		case e.Started:
			h.States[id] = started
		default:
			h.States[id] = received
		}
	}
	messages, err := q.List(gateway.LaneResults, 0, 1<<20)
	for _, m := range messages {
		h.Reports = append(h.Reports, string(m.Body))
	}
	return err
}

// judge compares: no command has fallen back, and a result and the message that
// reports it are there both or neither.
func (d *docket) judge(h journalHolding) (broken []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	waits := make(map[string]bool)
	for _, id := range h.Reports {
		waits[id] = true
	}
	for id, promised := range d.states {
		state := h.States[id]
		if state < promised {
			broken = append(broken, fmt.Sprintf("command %s was promised to be in state %d and is in %d", id, promised, state))
		}
		if there := waits[id] || d.reported[id]; there != (state == finished) {
			broken = append(broken, fmt.Sprintf("command %s is in state %d; message with its result: %v", id, state, there))
		}
		// What was written and not yet answered counts from now on.
		if d.states[id] = state; state == finished && len(d.states) > 500 {
			delete(d.states, id)
		}
	}
	return broken
}
