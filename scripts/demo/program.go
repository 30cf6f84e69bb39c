package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// program is a child process whose output goes to a log file.
type program struct {
	name  string
	log   string
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // valid once ended is closed
}

// start runs a program in a process group of its own, so that Ctrl-C reaches
// the demo alone, which then stops its children in order.
func start(data, path string, env []string, args ...string) (*program, error) {
	p := &program{name: filepath.Base(path), ended: make(chan struct{})}
	p.log = filepath.Join(data, p.name+".log")
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }() // the child has its own
	p.cmd = exec.Command(path, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// stop ends the program and waits for it.
func (p *program) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	select {
	case <-p.ended:
	case <-time.After(1500 * time.Millisecond):
		fmt.Fprintf(os.Stderr, "demo: %s does not stop, killing it\n", p.name)
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// failure says with the program's own last words why it ended.
func (p *program) failure() error {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return errors.Join(p.err, err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	tail := bytes.Join(lines[max(0, len(lines)-5):], []byte("\n"))
	return fmt.Errorf("%s ended (%v):\n%s", p.name, p.cmd.ProcessState, tail)
}
