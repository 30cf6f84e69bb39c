package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
)

const (
	// writeTimeout is how long a client may leave its answers unread once the
	// socket's own buffer is full, and stopTimeout the same at the stop.
	writeTimeout = 10 * time.Second
	stopTimeout  = 500 * time.Millisecond
	// Bounds of the config, as in its tags. A hub takes 256 KiB a message.
	leastLine   = 256
	mostLine    = 256 << 10
	mostClients = 256
	// maxPath is what the kernel takes as the path of a Unix socket.
	maxPath = 107
)

// Config of the socket.
type Config struct {
	Socket     string `yaml:"socket" doc:"Unix socket on which readings are taken." default:"/run/fieldpost/ingest.sock"`
	Mode       string `yaml:"mode" doc:"Permissions of the socket: who may write to it may hand in readings." default:"0660" pattern:"^0[0-7]{3}$" want:"a zero and three octal digits, such as 0660"`
	MaxLine    int    `yaml:"max_line" doc:"Longest line in bytes." default:"65536" min:"256" max:"262144"`
	MaxClients int    `yaml:"max_clients" doc:"Connections at the same time." default:"16" min:"1" max:"256"`
}

// KeepsAll says that each reading is promised an id, so that none of them may
// be held back on its way to the queue.
func (Config) KeepsAll() bool { return true }

// Validate names every field at fault.
func (c Config) Validate() error {
	var faults []error
	fault := func(field, problem string) {
		faults = append(faults, &gateway.FieldError{Field: field, Problem: problem})
	}
	if c.Socket == "" || len(c.Socket) > maxPath {
		fault("socket", fmt.Sprintf("the path has %d bytes; want 1 to %d", len(c.Socket), maxPath))
	}
	if _, err := c.mode(); err != nil {
		fault("mode", err.Error())
	}
	if c.MaxLine < leastLine || c.MaxLine > mostLine {
		fault("max_line", fmt.Sprintf("%d is not allowed; want %d to %d", c.MaxLine, leastLine, mostLine))
	}
	if c.MaxClients < 1 || c.MaxClients > mostClients {
		fault("max_clients", fmt.Sprintf("%d is not allowed; want 1 to %d", c.MaxClients, mostClients))
	}
	return errors.Join(faults...)
}

func (c Config) mode() (fs.FileMode, error) {
	n, err := strconv.ParseUint(c.Mode, 8, 32)
	if err != nil || n > 0o777 || len(c.Mode) != len("0660") {
		return 0, fmt.Errorf("%q is no file mode; want a zero and three octal digits, such as 0660", c.Mode)
	}
	return fs.FileMode(n), nil
}

// Dev is the socket.
type Dev struct {
	config   Config
	patience time.Duration // writeTimeout, but for tests
}

// New returns a socket that is opened by Run.
func New(c Config) (*Dev, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	return &Dev{config: c, patience: writeTimeout}, nil
}

// Run implements gateway.Stream: it serves clients until ctx ends, and returns
// when the last of them is gone.
func (d *Dev) Run(ctx context.Context, sink gateway.Sink) error {
	l, err := d.config.listen(ctx)
	if err != nil {
		return err
	}
	var clients sync.WaitGroup
	defer clients.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer func() { _ = l.Close() }() // which removes the file, too; not after Run: it could be the next one's
	context.AfterFunc(ctx, func() { _ = l.Close() })
	seats := make(chan struct{}, d.config.MaxClients)
	for {
		conn, err := l.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case err != nil:
			return fmt.Errorf("ingest socket %s: %w", d.config.Socket, err)
		}
		select {
		case seats <- struct{}{}:
			clients.Go(func() {
				defer func() { <-seats }()
				d.serve(ctx, conn, sink)
			})
		default:
			d.turnAway(conn)
		}
	}
}

// turnAway tells a client why it is not served. The socket's buffer is empty
// yet, so that this does not wait.
func (d *Dev) turnAway(conn net.Conn) {
	answer := refusal(fmt.Sprintf("%d clients are connected, which is all that max_clients allows; keep one connection open for many lines", d.config.MaxClients))
	_ = conn.SetWriteDeadline(time.Now().Add(stopTimeout))
	_, _ = conn.Write(answer) // it may have left already
	_ = conn.Close()
}

// serve answers one client until it leaves, is cut off, or ctx ends.
func (d *Dev) serve(ctx context.Context, conn *net.UnixConn, sink gateway.Sink) {
	defer func() { _ = conn.Close() }()
	cutShort := context.AfterFunc(ctx, func() {
		now := time.Now()
		_ = conn.SetReadDeadline(now)
		_ = conn.SetWriteDeadline(now.Add(stopTimeout))
	})
	defer cutShort()
	lines, err := newLineReader(conn, d.config.MaxLine)
	if err != nil { // it is closed already
		return
	}
	c := &client{lines: lines, sink: sink}
	for ctx.Err() == nil {
		group, err := c.gather()
		if len(group) > 0 && d.write(ctx, conn, c.commit(ctx, group)) != nil {
			return
		}
		if err != nil { // the end of the stream, as a rule
			return
		}
	}
}

// write sends answers within the time that a client has to read them.
func (d *Dev) write(ctx context.Context, conn net.Conn, answers []byte) error {
	_ = conn.SetWriteDeadline(time.Now().Add(d.patience))
	if ctx.Err() != nil { // the stop may have set its own before
		_ = conn.SetWriteDeadline(time.Now().Add(stopTimeout))
	}
	_, err := conn.Write(answers)
	return err
}
