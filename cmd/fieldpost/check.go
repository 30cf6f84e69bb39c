package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"

	"github.com/fieldpost/fieldpost/gateway/service"
)

type checkCmd struct {
	configFlag
	Hardware bool `help:"Then open each device and read it once. Outputs are looked up and not opened, so that nothing moves. The gateway must not run."`
	Schema   bool `help:"Print the JSON Schema of the config file instead, for editors."`
	JSON     bool `help:"Print what --hardware finds as JSON." name:"json"`
}

func (c *checkCmd) Run(io streams) error {
	if c.Schema {
		return printJSON(io.out, service.Schema())
	}
	loaded, err := service.Load(c.Config)
	if err != nil {
		return &failure{exitConfig, err}
	}
	for _, advice := range loaded.Advice() {
		fmt.Fprintf(io.err, "warning: %v\n", advice)
	}
	if !c.JSON {
		if _, err := fmt.Fprintf(io.out, "%s: right, %s\n", c.Config, loaded.Summary()); err != nil {
			return err
		}
	}
	if !c.Hardware {
		return nil
	}
	return c.hardware(io, loaded)
}

// hardware says of each device whether it does what it should.
func (c *checkCmd) hardware(io streams, loaded *service.Loaded) (err error) {
	switch running, err := (socketFlag{Socket: loaded.Gateway.Socket}).running(); {
	case err != nil:
		return err
	case running:
		return errors.New("the gateway is running and has its devices for itself; it says how they are: fieldpost devices, fieldpost read DEVICE; or stop it first: systemctl stop fieldpost")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := loaded.Bench(nil, newLog(io.err, slog.LevelError))
	defer func() { err = errors.Join(err, b.Close()) }()
	findings := b.Check(ctx)
	if ctx.Err() != nil {
		return errInterrupted
	}
	if c.JSON {
		err = printJSON(io.out, findings)
	} else {
		err = printDeviceFindings(io.out, findings)
	}
	return errors.Join(err, failedOnes(findings))
}

// failedOnes is an error if a device does not do what it should.
func failedOnes(findings []service.Finding) error {
	failed := 0
	for _, f := range findings {
		if !f.OK {
			failed++
		}
	}
	if failed == 0 {
		return nil
	}
	return &failure{exitFailed, fmt.Errorf("%d of %d devices do not do what they should", failed, len(findings))}
}

func printDeviceFindings(out io.Writer, findings []service.Finding) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		state := "FAILED"
		switch {
		case f.OK && f.Opened:
			state = "ok"
		case f.OK:
			state = "there"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", state, f.Label, f.Text)
	}
	return w.Flush()
}
