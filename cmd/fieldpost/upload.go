package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/fieldpost/fieldpost/gateway/uplink/upload"
)

type uploadCmd struct {
	socketFlag
	File   string `arg:"" help:"File to upload; - reads standard input." type:"path"`
	Name   string `help:"What it is called in the storage, below the device; the name of the file if left out. Slashes make folders."`
	NoWait bool   `help:"Do not wait until it is uploaded, only until the gateway has a copy that survives restarts."`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// Help says what is certain when.
func (uploadCmd) Help() string {
	return `The gateway takes a copy of the file, which survives restarts and outages, and
sends it to the storage of the hub in blocks. This waits until the storage has
all of it; Ctrl-C ends the waiting, not the upload.

Examples:
  fieldpost upload /var/log/day.log --name logs/2026-11-29.log
  journalctl --boot | fieldpost upload - --name boot.txt --no-wait`
}

func (c *uploadCmd) Run(io streams) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	client := c.client()
	up, err := c.hand(ctx, io, client)
	if err != nil {
		return err
	}
	if !c.NoWait {
		if up, err = c.follow(ctx, io, client, up); err != nil {
			return fmt.Errorf("%w; upload %s goes on without this, see: fieldpost uploads ls", err, up.ID)
		}
	}
	if c.JSON {
		err = printJSON(io.out, up)
	} else {
		_, err = fmt.Fprintln(io.out, uploadLine(up))
	}
	if err != nil || up.State == upload.Done || !up.State.Final() {
		return err
	}
	return &failure{exitFailed, fmt.Errorf("upload %s: %s", up.ID, up.State)}
}

// uploadLine says in one line what has become of an upload.
func uploadLine(up upload.Upload) string {
	name := up.Blob
	if name == "" {
		name = up.Name
	}
	line := fmt.Sprintf("%s %s: %s, %s", up.ID, name, up.State, bytesText(up.Bytes))
	if up.Detail != "" {
		line += ": " + up.Detail
	}
	return line
}

// hand gives the gateway the file.
func (c *uploadCmd) hand(ctx context.Context, io streams, client *client) (up upload.Upload, err error) {
	file, size, err := c.open(io)
	if err != nil {
		return up, err
	}
	defer file.Close()
	query := url.Values{"name": {c.Name}}
	if c.Name == "" {
		query.Set("name", filepath.Base(c.File))
	}
	if size >= 0 {
		query.Set("size", strconv.FormatInt(size, 10))
	}
	p := newProgress(io, "bytes handed over")
	defer p.end()
	resp, err := client.do(ctx, http.MethodPost, "/v1/uploads?"+query.Encode(), &readProgress{file, p, 0, max(size, 0)})
	if err != nil {
		return up, err
	}
	defer resp.Body.Close()
	return up, json.NewDecoder(resp.Body).Decode(&up)
}

// open opens the file and tells its size, -1 if that is not known.
func (c *uploadCmd) open(streams streams) (io.ReadCloser, int64, error) {
	if filepath.Base(c.File) == "-" {
		if c.Name == "" {
			return nil, 0, &failure{exitUsage, errors.New("standard input has no name; add --name")}
		}
		return io.NopCloser(streams.in), -1, nil
	}
	file, err := os.Open(c.File)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = fmt.Errorf("%s is a directory; pack it first, for example: tar cz %s | fieldpost upload - --name %s.tar.gz", c.File, c.File, filepath.Base(c.File))
	case info.Mode().IsRegular():
		return file, info.Size(), nil
	default:
		return file, -1, nil // a pipe
	}
	return nil, 0, errors.Join(err, file.Close())
}

// readProgress shows how much has been read.
type readProgress struct {
	io.Reader
	show       *progress
	done, size int64
}

func (r *readProgress) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.done += int64(n)
	r.show.show(uint64(r.done), uint64(r.size))
	return n, err
}

// followEvery is how often the gateway is asked how far an upload is.
const followEvery = 300 * time.Millisecond

// follow waits until an upload is over and shows how far it is.
func (c *uploadCmd) follow(ctx context.Context, io streams, client *client, up upload.Upload) (upload.Upload, error) {
	p := newProgress(io, "bytes sent")
	defer p.end()
	for !up.State.Final() {
		select {
		case <-time.After(followEvery):
		case <-ctx.Done():
			return up, errInterrupted
		}
		if err := client.get("/v1/uploads/"+up.ID, &up); err != nil {
			return up, err
		}
		p.show(uint64(up.Sent), uint64(up.Bytes))
	}
	return up, nil
}
