package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// childEnv holds the task of a process that measures, as JSON.
const childEnv = "FIELDPOST_BENCH_TASK"

// memoryLimit is the soft limit of Go's memory that the store is meant to live
// with on a board of 512 MB; the rest of the gateway has 4 MB more.
const memoryLimit = 24 << 20

// task is what one process does: a phase of a measurement of one engine.
type task struct {
	Measure string
	Phase   int
	Engine  string
	Dir     string
	params
}

// params are what a measurement is asked to vary.
type params struct {
	Body     string        `json:"body,omitempty"`
	Group    int           `json:"group,omitempty"`    // messages in one append
	Messages int           `json:"messages,omitempty"` // in all
	Delay    time.Duration `json:"delay,omitempty"`    // added to each sync
	Acked    bool          `json:"acked,omitempty"`    // each group is drained before the next
	Rest     time.Duration `json:"rest,omitempty"`     // of an idle process, before it is looked at
}

// figures are what a process has found out, by name.
type figures map[string]float64

// source gives the bodies of a task from a pool.
func (t *task) source() (source, error) { return newPool(t.Body, t.Messages) }

// child is the whole life of a process that measures. It returns the exit code.
func child(text string) int {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		fmt.Fprintln(os.Stderr, "task:", err)
		return 2
	}
	debug.SetMemoryLimit(memoryLimit)
	found, err := t.run()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s of %s, phase %d: %v\n", t.Measure, t.Engine, t.Phase, err)
		return 1
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (t *task) run() (figures, error) {
	m, ok := measures[t.Measure]
	if !ok || t.Phase >= len(m) {
		return nil, fmt.Errorf("there is no such measurement")
	}
	if t.Delay > 0 {
		if err := slowSyncs(); err != nil {
			return nil, err
		}
	}
	return m[t.Phase](t)
}

// die ends this process as a power cut would, as far as a process can.
func die() error {
	if err := unix.Kill(os.Getpid(), unix.SIGKILL); err != nil {
		return err
	}
	select {} // until the signal arrives
}

// spawn runs all phases of a measurement, each in a process of its own, on one
// new directory below root, and returns what they have found.
func spawn(ctx context.Context, root string, t task) (figures, error) {
	dir, err := os.MkdirTemp(root, "bench-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	all := make(figures)
	t.Dir = dir
	for t.Phase = range measures[t.Measure] {
		found, err := spawnPhase(ctx, t)
		if err != nil {
			return nil, err
		}
		for name, value := range found {
			all[name] = value
		}
	}
	// What was written must not be a burden on the next.
	return all, syncFiles(dir)
}

func spawnPhase(ctx context.Context, t task) (figures, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := runChild(cmd, t.Delay); err != nil {
		if killed(err) && ctx.Err() == nil && mayDie[t.Measure] {
			return nil, nil
		}
		return nil, fmt.Errorf("%s of %s, phase %d: %w", t.Measure, t.Engine, t.Phase, err)
	}
	var found figures
	return found, json.Unmarshal(out.Bytes(), &found)
}

// runChild runs a child; its syncs take delay longer.
func runChild(cmd *exec.Cmd, delay time.Duration) error {
	if delay == 0 {
		return cmd.Run()
	}
	s, err := newSupervisor(delay)
	if err != nil {
		return err
	}
	cmd.ExtraFiles = []*os.File{s.child} // becomes supervisorSocket
	return errors.Join(cmd.Run(), s.wait())
}

func killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == unix.SIGKILL
}
