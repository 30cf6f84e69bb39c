package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the process that measures.
func TestMain(m *testing.M) {
	if task, ok := os.LookupEnv(childEnv); ok {
		os.Exit(child(task))
	}
	os.Exit(m.Run())
}

var tinyScale = scale{
	rounds: 2, appends: map[int]int{1: 20, 16: 64, 256: 512}, slowGroups: 3,
	backlog: 512, wearGroups: 3, behind: []int{10}, stall: 200, settle: 20 * time.Millisecond, rest: 20 * time.Millisecond,
}

// runTiny runs the whole program on few messages and returns the rows of its
// JSON file and what it printed.
func runTiny(t *testing.T, only string, markdown bool) (all []row, printed string) {
	t.Helper()
	o := options{
		dir: t.TempDir(), json: filepath.Join(t.TempDir(), "rows.json"), markdown: markdown,
		scale: tinyScale, only: regexp.MustCompile(only),
	}
	var out, progress bytes.Buffer
	if err := o.run(t.Context(), &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	text, err := os.ReadFile(o.json)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(o.dir, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	return all, out.String()
}

// TestEveryFigure: each measurement gives its figures, for each engine that can
// do it, and fieldpost's have their budgets.
func TestEveryFigure(t *testing.T) {
	all, printed := runTiny(t, "", false)
	wanted := map[string][]string{
		figAppend: appenders, figWritten: unsealed, figStall: unsealed, figDrain: queues, figDisk: queues, figMixed: plain,
		figFillPeak: plain, figFillUsual: plain, figIdle: plain, figIdleBytes: plain,
		figOpenIdle: plain, figDrainPeak: plain, figDrainUsual: plain,
		"open, clean": plain, "open, kill -9": plain, figHeadFirst: plain, figHead: plain,
	}
	for name, engines := range wanted {
		for _, engine := range engines {
			i := slices.IndexFunc(all, func(r row) bool { return r.Name == name && r.Engine == engine })
			if i < 0 {
				t.Errorf("no %s of %s", name, engine)
				continue
			}
			checkRow(t, all[i])
		}
		if !strings.Contains(printed, name) {
			t.Errorf("the table has no line %q", name)
		}
	}
}

func checkRow(t *testing.T, r row) {
	t.Helper()
	if r.Unit == "" || r.Min > r.Value || r.Value > r.Max {
		t.Errorf("%s of %s: %+v", r.Name, r.Engine, r)
	}
	if r.Value == 0 && r.Name != figIdleBytes && r.Name != figWritten { // nothing is written to a tmpfs
		t.Errorf("%s of %s is 0", r.Name, r.Engine)
	}
	if noBudget := []string{figDrain, figMixed}; r.Engine == engineFieldpost && !slices.Contains(noBudget, r.Name) && r.Within == nil {
		t.Errorf("%s has no budget", r.Name)
	}
}

func TestMarkdown(t *testing.T) {
	_, printed := runTiny(t, "append .*256, 512", true)
	lines := strings.Split(strings.TrimSpace(printed), "\n")
	table := lines[slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "|") }):]
	if len(table) != 4 { // heading, rule, telemetry, noise
		t.Errorf("want 4 lines:\n%s", printed)
	}
	for _, line := range table {
		if n := strings.Count(line, "|"); n != len(heading)+1 {
			t.Errorf("%d bars, want %d: %s", n, len(heading)+1, line)
		}
	}
}

// TestSyncsAreHeldUp: no engine can append faster than its syncs are let go.
func TestSyncsAreHeldUp(t *testing.T) {
	const delay, n = 20 * time.Millisecond, 5
	for _, engine := range unsealed {
		found, err := spawn(t.Context(), t.TempDir(), task{
			Measure: "append", Engine: engine,
			params: params{Body: bodyTelemetry, Group: 1, Messages: n, Delay: delay},
		})
		if err != nil {
			t.Fatal(err)
		}
		if most := 1 / delay.Seconds(); found[figAppend] <= 0 || found[figAppend] > most {
			t.Errorf("%s: %.1f msgs/s, want at most %.1f", engine, found[figAppend], most)
		}
	}
}

// TestQueuesGiveBack: an engine that lost or repeated messages would make a
// fine figure.
func TestQueuesGiveBack(t *testing.T) {
	for _, engine := range queues {
		t.Run(engine, func(t *testing.T) {
			dir := t.TempDir()
			bodies := (&fresh{kind: bodyTelemetry}).group(300)
			q := mustOpen(t, engine, dir)
			for part := range slices.Chunk(bodies, 50) {
				if err := q.append(part); err != nil {
					t.Fatal(err)
				}
			}
			checkHead(t, q, bodies[0])
			mustTake(t, q, 120)
			if err := q.close(); err != nil {
				t.Fatal(err)
			}
			q = mustOpen(t, engine, dir)
			checkHead(t, q, bodies[120])
			mustTake(t, q, 179)
			checkHead(t, q, bodies[299])
			if err := q.close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func mustOpen(t *testing.T, engine, dir string) queue {
	t.Helper()
	q, err := openQueue(engine, dir)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func mustTake(t *testing.T, q queue, n int) {
	t.Helper()
	if err := q.take(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

// checkHead looks at the oldest message, and has the queue hand it out again.
func checkHead(t *testing.T, q queue, want []byte) {
	t.Helper()
	got, err := q.head(t.Context())
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("head %s (%v), want %s", got, err, want)
	}
	if f, ok := q.(*fieldpost); ok {
		f.q.Rewind()
	}
}

// TestBodies: about 300 bytes, each another one, and telemetry is JSON.
func TestBodies(t *testing.T) {
	for kind, about := range map[string]int{bodyTelemetry: 300, bodyNoise: 300, bodyTiny: 12} {
		bodies := (&fresh{kind: kind}).group(1000)
		if mean := bytesOf(bodies) / len(bodies); mean < about*9/10 || mean > about*11/10 {
			t.Errorf("%s: %d bytes on average, want about %d", kind, mean, about)
		}
		seen := make(map[string]bool)
		for _, b := range bodies {
			if seen[string(b)] || kind == bodyTelemetry && !json.Valid(b) {
				t.Fatalf("%s: repeated or no JSON: %s", kind, b)
			}
			seen[string(b)] = true
		}
	}
}

func TestPoolIsFresh(t *testing.T) {
	p, err := newPool(bodyTelemetry, 10)
	if err != nil {
		t.Fatal(err)
	}
	want := (&fresh{kind: bodyTelemetry}).group(10)
	for i, b := range p.group(20) {
		if !bytes.Equal(b, want[i%10]) {
			t.Fatalf("body %d: %s, want %s", i, b, want[i%10])
		}
	}
}

func TestBudget(t *testing.T) {
	for _, c := range []struct {
		b            budget
		value, ratio float64
		want         bool
	}{
		{atMost(0), 0, 0, true},
		{atMost(0), 1, 0, false},
		{atMost(4), 4, 0, true},
		{budget{leastRatio: 0.6}, 1, 0.6, true},
		{budget{leastRatio: 0.6}, 1, 0.59, false},
		{budget{leastRatio: 0.6}, 1, 0, false}, // raw was not measured
	} {
		if got := c.b.within(c.value, c.ratio); got == nil || *got != c.want {
			t.Errorf("%v of %g, ratio %g: %v, want %v", c.b, c.value, c.ratio, got, c.want)
		}
	}
	if (budget{}).within(1, 1) != nil {
		t.Error("no budget was kept or missed")
	}
}

// TestRatios are taken in each round, of what ran side by side.
func TestRatios(t *testing.T) {
	o := outcome{figure: figAppend, engines: map[string]sample{
		engineRaw: {100, 10, 1000}, engineFieldpost: {50, 6, 700}, engineSealed: {25, 3, 350},
	}}
	if got := o.ratio(engineFieldpost); got != 0.6 {
		t.Errorf("ratio to raw %g, want 0.6", got)
	}
	if got := o.ratio(engineSealed); got != 0.5 {
		t.Errorf("ratio of the encrypted to the plain %g, want 0.5", got)
	}
}

// TestFailuresAreReported: the other engines go on.
func TestFailuresAreReported(t *testing.T) {
	jobs := []job{{"append", []string{"nothing", engineRaw}, params{Body: bodyNoise, Group: 1, Messages: 2}}}
	var progress bytes.Buffer
	list, err := bench{dir: t.TempDir(), rounds: 2, progress: &progress}.run(context.Background(), jobs)
	if err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("error %v, want one of the engine", err)
	}
	if len(list) != 1 || len(list[0].engines[engineRaw]) != 2 {
		t.Errorf("outcomes %+v, want two samples of raw", list)
	}
}
