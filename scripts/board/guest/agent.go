package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fieldpost/fieldpost/drivers/drivertest/i2csim"
	"github.com/fieldpost/fieldpost/scripts/board"
)

// agent does what the host asks for. Its methods are calls of net/rpc.
type agent struct {
	buses map[int]*bus

	mu      sync.Mutex
	running map[string]*running
}

// running is a program that goes on in the background.
type running struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// none is the argument or the answer of calls that need none.
type none = struct{}

func newAgent() *agent {
	return &agent{buses: map[int]*bus{}, running: map[string]*running{}}
}

// openBuses begins to play the chips on what i2c-hil has, if it is there.
func (a *agent) openBuses() error {
	const prefix = "/dev/i2c-hil-"
	files, err := filepath.Glob(prefix + "*")
	if err != nil {
		return err
	}
	for _, file := range files {
		n, err := strconv.Atoi(strings.TrimPrefix(file, prefix))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		b, err := openBus(file)
		if err != nil {
			return err
		}
		a.buses[n] = b
		go func() { fmt.Printf("board: bus %d: %v\n", n, b.serve()) }()
	}
	return nil
}

// Write writes a file, or makes a directory.
func (a *agent) Write(f board.File, _ *none) error {
	if strings.HasSuffix(f.Path, "/") {
		return os.MkdirAll(f.Path, 0o755)
	}
	return os.WriteFile(f.Path, f.Data, 0o600)
}

// Toggle writes to a file again and again.
func (a *agent) Toggle(o board.Toggle, _ *none) error {
	for i := range o.Times {
		if err := os.WriteFile(o.Path, []byte(o.Texts[i%2]), 0o600); err != nil {
			return err
		}
		time.Sleep(o.Period)
	}
	return nil
}

// Read reads a file.
func (a *agent) Read(path string, data *[]byte) (err error) {
	*data, err = os.ReadFile(path)
	return err
}

// Remove removes a file or an empty directory.
func (a *agent) Remove(path string, _ *none) error { return os.Remove(path) }

// Glob lists the files that match a pattern.
func (a *agent) Glob(pattern string, matches *[]string) (err error) {
	*matches, err = filepath.Glob(pattern)
	return err
}

// Mount mounts a file system.
func (a *agent) Mount(m board.Mount, _ *none) error { return mount(m.Kind, m.Source, m.At) }

// Ingest hands lines in and returns the answers.
func (a *agent) Ingest(l board.Lines, answers *[]string) error {
	conn, err := net.Dial("unix", l.Socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, strings.Join(l.Lines, "\n")+"\n"); err != nil {
		return err
	}
	in := bufio.NewScanner(conn)
	for len(*answers) < len(l.Lines) && in.Scan() {
		*answers = append(*answers, in.Text())
	}
	return in.Err()
}

// SetClock sets the board's clock.
func (a *agent) SetClock(now time.Time, _ *none) error {
	ts, err := unix.TimeToTimespec(now)
	if err != nil {
		return err
	}
	return unix.ClockSettime(unix.CLOCK_REALTIME, &ts)
}

// Run runs a program to its end.
func (a *agent) Run(p board.Program, ended *board.Ended) error {
	if p.Within == 0 {
		p.Within = time.Minute
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.Within)
	defer cancel()
	out, err := exec.CommandContext(ctx, p.Path, p.Args...).CombinedOutput()
	*ended = board.Ended{Output: string(out)}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		ended.Code = exit.ExitCode()
		return ctx.Err()
	}
	return err
}

// logFile is where a program in the background writes.
func logFile(path string) string { return "/var/" + filepath.Base(path) + ".log" }

// Start starts a program in the background, one of each at a time.
func (a *agent) Start(p board.Program, _ *none) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running[p.Path] != nil {
		return fmt.Errorf("%s runs already", p.Path)
	}
	log, err := os.Create(logFile(p.Path))
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the program has its own
	r := &running{cmd: exec.Command(p.Path, p.Args...), ended: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = log, log
	if err := r.cmd.Start(); err != nil {
		return err
	}
	a.running[p.Path] = r
	go func() {
		_ = r.cmd.Wait() // Stop looks at ProcessState
		close(r.ended)
	}()
	return nil
}

// Stop asks a program in the background to stop, and kills it if it does not.
func (a *agent) Stop(p board.Program, ended *board.Ended) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.running[p.Path]
	if r == nil {
		return fmt.Errorf("%s does not run", p.Path)
	}
	delete(a.running, p.Path)
	_ = r.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-r.ended:
	case <-time.After(p.Within):
		_ = r.cmd.Process.Kill()
		<-r.ended
	}
	log, err := os.ReadFile(logFile(p.Path))
	*ended = board.Ended{Code: r.cmd.ProcessState.ExitCode(), Output: string(log)}
	return err
}

// Kill ends a program in the background as kill -9 does.
func (a *agent) Kill(path string, _ *none) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.running[path]
	if r == nil {
		return fmt.Errorf("%s does not run", path)
	}
	delete(a.running, path)
	err := r.cmd.Process.Kill()
	<-r.ended
	return err
}

// Place puts a chip on a bus; without a kind it takes away what is there.
func (a *agent) Place(c board.Chip, _ *none) error {
	b := a.buses[c.Bus]
	if b == nil {
		return fmt.Errorf("there is no bus %d", c.Bus)
	}
	var made i2csim.Chip
	if c.Kind != "" {
		var err error
		if made, err = newChip(c.Kind); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.chips[c.Address] = made
	return nil
}

// Fault lets something befall a chip or a bus from now on.
func (a *agent) Fault(f board.Fault, _ *none) error {
	b := a.buses[f.Bus]
	if b == nil {
		return fmt.Errorf("there is no bus %d", f.Bus)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults[f.Address] = f.Kind
	return nil
}

// Pins drives the inputs of an expander, and gives what its outputs hold.
func (a *agent) Pins(p board.Pins, out *uint16) error {
	b := a.buses[p.Bus]
	if b == nil {
		return fmt.Errorf("there is no bus %d", p.Bus)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	expander, is := b.chips[p.Address].(*i2csim.MCP23017)
	if !is {
		return fmt.Errorf("there is no expander at %#x of bus %d", p.Address, p.Bus)
	}
	expander.In = p.In
	*out = expander.Out()
	return nil
}
