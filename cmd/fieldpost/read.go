package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/fieldpost/fieldpost/gateway/service"
)

type readCmd struct {
	socketFlag
	configFlag
	Device string        `arg:"" help:"Device, as in the config."`
	Count  int           `help:"Read so often; 0 for until Ctrl-C." default:"1"`
	Every  time.Duration `help:"Pause between two reads." default:"1s"`
	Record string        `help:"Write what passes between the board and the chip into this file, for a test that plays it back. The gateway must not run." placeholder:"FILE" type:"path"`
	JSON   bool          `help:"Print JSON, a line for each read." name:"json"`
}

// Help says who reads.
func (readCmd) Help() string {
	return `Reads a device now. The running gateway does so between two of its own reads, and
sends nothing of it. If none runs, this opens the device that the config describes.
A device that speaks when it wants to is not read: its last readings are shown, or
its next ones if no gateway runs. Exit code 1 if a read fails.

Examples:
  fieldpost read air
  fieldpost read air --count 0 --every 500ms
  fieldpost read air --record air.txt`
}

func (c *readCmd) Run(io streams) (err error) {
	if c.Count < 0 || c.Every < 0 {
		return &failure{exitUsage, errors.New("--count and --every cannot be less than 0")}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	read, done, err := c.reader(io)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	return c.repeat(ctx, io, read)
}

// reader says how the device is read, and what is to be done afterwards.
func (c *readCmd) reader(io streams) (read func(context.Context) (service.Reading, error), done func() error, err error) {
	running, err := c.running()
	switch {
	case err != nil:
		return nil, nil, err
	case running && c.Record != "":
		return nil, nil, errors.New("the gateway is running and has the device for itself; to record, stop it first: systemctl stop fieldpost")
	case running:
		client := c.client()
		return func(ctx context.Context) (r service.Reading, err error) {
			return r, client.wait(ctx, http.MethodPost, "/v1/devices/"+url.PathEscape(c.Device)+"/read", nil, &r)
		}, func() error { return nil }, nil
	}
	return c.bench(io)
}

// bench reads without a gateway.
func (c *readCmd) bench(io streams) (read func(context.Context) (service.Reading, error), done func() error, err error) {
	loaded, err := service.Load(c.Config)
	if err != nil {
		return nil, nil, &failure{exitConfig, fmt.Errorf("no gateway runs that could be asked, and its config cannot be used:\n%w", err)}
	}
	var rec *recorder
	var record func(service.Transaction)
	if c.Record != "" {
		if rec, err = newRecorder(c.Record, c.Device); err != nil {
			return nil, nil, err
		}
		record = rec.add
	}
	b := loaded.Bench(record, newLog(io.err, slog.LevelWarn))
	return func(ctx context.Context) (service.Reading, error) { return b.Read(ctx, c.Device) },
		func() error { return errors.Join(b.Close(), rec.close()) }, nil
}

// repeat reads as often as is wanted. Its error is the last one.
func (c *readCmd) repeat(ctx context.Context, io streams, read func(context.Context) (service.Reading, error)) (failed error) {
	for n := 1; ; n++ {
		r, err := read(ctx)
		if ctx.Err() != nil {
			return failed // told to stop
		}
		if err != nil {
			return err
		}
		if err := c.print(io, r); err != nil {
			return err
		}
		failed = nil
		if r.Error != "" {
			failed = &failure{exitFailed, fmt.Errorf("%s: %s", r.Label, r.Error)}
		}
		if n == c.Count {
			return failed
		}
		if failed != nil && !c.JSON {
			fmt.Fprintln(io.err, failed)
		}
		select {
		case <-ctx.Done():
			return failed
		case <-time.After(c.Every):
		}
	}
}

func (c *readCmd) print(io streams, r service.Reading) error {
	if c.JSON {
		return json.NewEncoder(io.out).Encode(r)
	}
	w := tabwriter.NewWriter(io.out, 0, 0, 2, ' ', 0)
	for _, one := range r.Readings {
		fmt.Fprintf(w, "%s\t%s\t%s\n", shownTime(one.Time), one.Name, one.Amount())
	}
	return w.Flush()
}
