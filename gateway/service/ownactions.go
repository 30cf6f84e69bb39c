package service

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/uplink/upload"
)

// ownDevice is the name of the gateway itself among the devices.
const ownDevice gateway.DeviceID = "gateway"

// The actions of the gateway itself.
const (
	actionLogs     = "collect-logs"
	actionExport   = "export-queue"
	actionCancel   = "cancel"
	actionSettings = "settings"
	actionRestart  = "restart"
)

const (
	defaultLogLines = 2000
	maxLogLines     = 50_000
	maxExported     = 1_000_000
)

// itself is the gateway as one of its devices: what it can be asked to do.
type itself struct{ *Service }

// Actions are all harmless to repeat: a repeat finds the upload of the first, or a
// command that has ended.
func (itself) Actions() []gateway.Action {
	least, lines, messages := 1.0, float64(maxLogLines), float64(maxExported)
	return append([]gateway.Action{
		{
			Name: actionLogs, Idempotent: true, Timeout: 2 * time.Minute,
			Help: "Uploads a bundle to look for faults in: version, status, the config without its secrets, and the last lines of the log.",
			Args: []gateway.Arg{{
				Name: "lines", Type: gateway.ArgInteger, Min: &least, Max: &lines,
				Help: fmt.Sprintf("lines of the log, %d if left out", defaultLogLines),
			}},
		},
		{
			Name: actionExport, Idempotent: true, Timeout: 10 * time.Minute,
			Help: "Uploads a copy of what waits in a lane, oldest first, as NDJSON packed with gzip; the messages stay in the queue.",
			Args: []gateway.Arg{
				{Name: "lane", Type: gateway.ArgText, Required: true, Help: "lane of the queue, for example telemetry"},
				{Name: "limit", Type: gateway.ArgInteger, Min: &least, Max: &messages, Help: "at most so many messages; all if left out"},
			},
		},
		cancelAction(), settingsAction(), restartAction(),
	}, overrideActions()...)
}

// Do implements gateway.Actuator.
func (g itself) Do(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	switch cmd.Action {
	case actionCancel:
		return g.cancel(ctx, cmd)
	case actionSettings:
		return g.set(cmd)
	case actionRestart:
		return g.restart(ctx, cmd)
	case actionOverride, actionRelease:
		return g.override(cmd)
	}
	return g.send(ctx, cmd)
}

// send makes a file and uploads it. Once the file is in the spool the command has
// been carried out, since nothing can keep it from arriving but somebody who
// cancels it; the values say how far it is.
func (g itself) send(ctx context.Context, cmd gateway.Command) (map[string]any, error) {
	u, err := g.uploader()
	if err != nil {
		return nil, err
	}
	stamp := cmd.Received.UTC().Format("20060102T150405Z")
	req := upload.Request{Size: -1, Key: cmd.ID}
	var write func(context.Context, io.Writer) error
	switch cmd.Action {
	case actionLogs:
		lines, _ := cmd.Args["lines"].(float64)
		req.Name, req.ContentType = "diagnostics/"+g.id+"-"+stamp+".tar.gz", "application/gzip"
		write = func(ctx context.Context, w io.Writer) error {
			return g.writeBundle(ctx, w, cmp.Or(int(lines), defaultLogLines))
		}
	case actionExport:
		lane, _ := cmd.Args["lane"].(string)
		limit, _ := cmd.Args["limit"].(float64)
		if _, err := g.queue.List(gateway.Lane(lane), 0, 0); err != nil {
			return nil, fmt.Errorf("%w: %w", err, gateway.ErrDenied)
		}
		req.Name, req.ContentType = "queue/"+lane+"-"+g.queue.Store()+"-"+stamp+".ndjson.gz", "application/gzip"
		write = func(ctx context.Context, w io.Writer) error {
			return g.writeLane(ctx, w, gateway.Lane(lane), cmp.Or(int(limit), maxExported))
		}
	default:
		return nil, fmt.Errorf("unknown action %q: %w", cmd.Action, gateway.ErrDenied)
	}
	up, err := accept(ctx, u, req, write)
	if err != nil {
		return nil, err
	}
	return g.await(ctx, u, up), nil
}

// accept hands in a file while it is being made.
func accept(ctx context.Context, u *upload.Uploader, req upload.Request, write func(context.Context, io.Writer) error) (upload.Upload, error) {
	ctx, cancel := context.WithCancel(ctx)
	reader, writer := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		writer.CloseWithError(write(ctx, writer)) // nil is the end of the file
	}()
	up, err := u.Accept(ctx, req, reader)
	cancel()
	_ = reader.CloseWithError(context.Canceled) // who still writes need not
	<-written
	return up, err
}

const (
	// awaited is how long an action waits for its upload to be over.
	awaited = time.Minute
	// courtesy is left of the time of the action for its result.
	courtesyTime = 5 * time.Second
)

// await gives an upload some time to be over, and says how far it is.
func (g itself) await(ctx context.Context, u *upload.Uploader, up upload.Upload) map[string]any {
	left := awaited
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline)-courtesyTime)
	}
	ctx, cancel := context.WithTimeout(ctx, max(left, 0))
	defer cancel()
	if now, err := u.Wait(ctx, up.ID); err == nil {
		up = now
	}
	values := map[string]any{"upload": up.ID, "name": up.Name, "bytes": float64(up.Bytes), "state": string(up.State)}
	if up.Blob != "" {
		values["blob"] = up.Blob
	}
	if up.Detail != "" {
		values["detail"] = strings.ToValidUTF8(up.Detail, "?")
	}
	return values
}
