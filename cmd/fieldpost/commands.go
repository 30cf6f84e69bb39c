package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/service"
)

type commandsCmd struct {
	Ls     commandsLsCmd     `cmd:"" help:"List the commands that the journal has, the newest first."`
	Show   commandsShowCmd   `cmd:"" help:"Show all that is known of one command."`
	Cancel commandsCancelCmd `cmd:"" help:"End a command early: one that waits is denied, one that is being carried out is cut short."`
}

type commandsLsCmd struct {
	queueFlag
	Device string `help:"Only those for this device."`
	Status string `help:"Only those in this state: received, started, done, failed, expired, denied, unknown-outcome." enum:",received,started,done,failed,expired,denied,unknown-outcome" default:""`
	Limit  int    `help:"Print at most this many, up to 1000." default:"20"`
	JSON   bool   `help:"Print one JSON object a line." name:"json"`
}

func (c *commandsLsCmd) Run(io streams) error {
	query := url.Values{"device": {c.Device}, "status": {c.Status}, "limit": {strconv.Itoa(c.Limit)}}
	var list []service.CommandRecord
	err := c.use(io, func(_ context.Context, client *client) error {
		return client.get("/v1/commands?"+query.Encode(), &list)
	})
	if err != nil {
		return err
	}
	return c.print(io, list)
}

func (c *commandsLsCmd) print(io streams, list []service.CommandRecord) error {
	if c.JSON {
		enc := json.NewEncoder(io.out)
		for _, r := range list {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(io.out, "the journal has no such command")
		return err
	}
	w := tabwriter.NewWriter(io.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "id\treceived\torigin\tdevice\taction\tstatus\ttook\tdetail")
	for _, r := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", shownID(r), shownTime(r.Received), r.Origin,
			r.Device, r.Action, r.Status, took(r), shorten(r.Detail, 80))
	}
	return w.Flush()
}

// shownID has the child in front, if there is one.
func shownID(r service.CommandRecord) string {
	if r.Child == "" {
		return r.ID
	}
	return string(r.Child) + " " + r.ID
}

func took(r service.CommandRecord) string {
	if r.TookMS == nil {
		return "-"
	}
	return age(time.Duration(*r.TookMS * float64(time.Millisecond)))
}

// commandArg names one command.
type commandArg struct {
	ID    string `arg:"" name:"id" help:"Id, as 'fieldpost commands ls' shows it."`
	Child string `help:"Lane of the child that it was sent to, if it was." placeholder:"LANE"`
}

type commandsShowCmd struct {
	queueFlag
	commandArg
	JSON bool `help:"Print JSON." name:"json"`
}

func (c *commandsShowCmd) Run(io streams) error {
	query := url.Values{"id": {c.ID}, "child": {c.Child}}
	var r service.CommandRecord
	err := c.use(io, func(_ context.Context, client *client) error {
		return client.get("/v1/command?"+query.Encode(), &r)
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(io.out, r)
	}
	return showCommand(io.out, r)
}

// showCommand prints a record, a line for each thing that is known.
func showCommand(out io.Writer, r service.CommandRecord) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, text)
		}
	}
	at := func(t time.Time) string {
		if _, undated := gateway.Uptime(t); undated {
			return shownTime(t)
		}
		if t.IsZero() {
			return ""
		}
		return t.Local().Format(timeLayout + ".000")
	}
	line("id", r.ID)
	line("child", string(r.Child))
	line("device", string(r.Device))
	line("action", r.Action)
	line("args", jsonText(r.Args))
	line("origin", string(r.Origin))
	line("reply to", r.ReplyTo)
	line("received", at(r.Received))
	line("expires", cmp.Or(at(r.Expires), "never"))
	line("started", cmp.Or(at(r.Started), "-"))
	line("finished", cmp.Or(at(r.Finished), "-"))
	line("took", took(r))
	line("status", string(r.Status))
	line("detail", r.Detail)
	line("values", jsonText(r.Values))
	return w.Flush()
}

func jsonText(values map[string]any) string {
	if len(values) == 0 {
		return ""
	}
	text, err := json.Marshal(values)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

type commandsCancelCmd struct {
	socketFlag
	commandArg
	JSON bool `help:"Print JSON." name:"json"`
}

// Run fails if the command was done all the same.
func (c *commandsCancelCmd) Run(io streams) error {
	var r gateway.Result
	req := service.CancelRequest{ID: c.ID, Child: gateway.Lane(c.Child)}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := c.client().wait(ctx, http.MethodPost, "/v1/commands/cancel", req, &r); {
	case errors.Is(err, errInterrupted):
		return fmt.Errorf("%w; the command is being cut short all the same", err)
	case err != nil:
		return err
	}
	if err := printResult(io.out, r, c.JSON); err != nil {
		return err
	}
	if r.Status == gateway.StatusDone {
		return &failure{exitFailed, fmt.Errorf("command %s was done before it could be cut short", c.ID)}
	}
	return nil
}
