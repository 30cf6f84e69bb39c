package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/fieldpost/fieldpost/gateway/service"
	"github.com/fieldpost/fieldpost/storeforward"
)

// queueFlag is shared by the verbs that work on the queue, of the running
// gateway or, if none runs, of the one that the config describes.
type queueFlag struct {
	socketFlag
	configFlag
}

// use calls f with a client of the running gateway; if none runs, it opens the
// queue itself and the client talks to the same API within this process.
// Ctrl-C ends the context.
func (q queueFlag) use(io streams, f func(ctx context.Context, c *client) error) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := q.client()
	conn, err := q.dial(ctx)
	switch {
	case err == nil:
		conn.Close()
		return f(ctx, c)
	case !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ECONNREFUSED):
		return c.explain(err)
	}
	gone := c.explain(err)
	queue, dataDir, err := q.open(io)
	if err != nil {
		return q.explain(gone, err)
	}
	return serveOffline(ctx, queue, dataDir, f)
}

// open opens the queue that the config describes, in its data directory.
func (q queueFlag) open(io streams) (queue *storeforward.Queue, dataDir string, err error) {
	loaded, err := service.Load(q.Config)
	if err != nil {
		return nil, "", fmt.Errorf("nor is its queue found: %w", err)
	}
	if isTerminal(io.err) {
		fmt.Fprintf(io.err, "no gateway runs; this opens its queue in %s\n", loaded.Gateway.DataDir)
	}
	queue, err = loaded.OpenQueue(thisBuild(), newLog(io.err, slog.LevelWarn))
	return queue, loaded.Gateway.DataDir, err
}

func thisBuild() service.Build {
	return service.Build{Version: version, Commit: commit, Time: buildTime()}
}

// explain says what to do when there is neither a gateway nor its queue.
func (q queueFlag) explain(gone, err error) error {
	switch {
	case errors.Is(err, storeforward.ErrLocked):
		return &failure{exitUnavailable, fmt.Errorf("no gateway answers at %s, and its queue cannot be opened instead: %w Try again if it is just starting; if it has another socket, name it with --socket", q.Socket, err)}
	case errors.Is(err, storeforward.ErrDamaged):
		return fmt.Errorf("no gateway runs, and its queue cannot be read: %w; start the gateway: it sets a damaged queue aside and brings over what can be read of it", err)
	case errors.Is(err, fs.ErrNotExist):
		return &failure{exitUnavailable, fmt.Errorf("%w; %w", gone, err)}
	}
	return err
}

// serveOffline serves the API of a queue to a client in this process, for as
// long as f takes, and closes the queue. What is done is not logged: the person
// who does it is told.
func serveOffline(ctx context.Context, queue *storeforward.Queue, dataDir string, f func(ctx context.Context, c *client) error) (err error) {
	pipes := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: service.QueueHandler(queue, dataDir, slog.New(slog.DiscardHandler)), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(pipes) }()
	c := newClient("this process", pipes.dial)
	err = f(ctx, c)
	c.http.CloseIdleConnections()
	// Nobody asks any more, so this waits for handlers that are about to end.
	err = errors.Join(err, server.Shutdown(context.WithoutCancel(ctx)))
	if stopped := <-served; !errors.Is(stopped, http.ErrServerClosed) {
		err = errors.Join(err, stopped)
	}
	return errors.Join(err, queue.Close())
}

// pipeListener is a listener within the process.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }
