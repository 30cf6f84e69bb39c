package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fieldpost/fieldpost/gateway/hubsim/load"
)

// loadOptions are those of the simulated gateways.
type loadOptions struct {
	Data        string        `required:"" placeholder:"DIR" help:"Directory of the hubsim that takes the load; it must be running."`
	Gateways    int           `default:"500" placeholder:"N" help:"How many gateways (${default}), 1 to 5000."`
	Every       time.Duration `default:"1s" placeholder:"TIME" help:"Time between two messages of a gateway (${default}), 1ms to 1h."`
	Bytes       int           `default:"300" placeholder:"N" help:"Size of a message (${default})."`
	ConnectOver time.Duration `default:"10s" placeholder:"TIME" help:"Time over which the first connects are spread (${default})."`
	Duration    time.Duration `default:"60s" placeholder:"TIME" help:"How long it all takes (${default}); Ctrl-C ends it early."`
	JSON        bool          `name:"json" help:"Report in JSON."`
}

// runLoad puts a load on a hub and prints the report.
func runLoad(o loadOptions, stdout, stderr io.Writer) error {
	file := filepath.Join(o.Data, "hubsim.json")
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("hubsim: is the hub of %s running? %w", o.Data, err)
	}
	options := load.Options{
		Gateways: o.Gateways, Every: o.Every, Bytes: o.Bytes, ConnectOver: o.ConnectOver, Duration: o.Duration,
		Log: slog.New(slog.NewTextHandler(stderr, nil)),
	}
	if err := json.Unmarshal(data, &options.Hub); err != nil {
		return fmt.Errorf("hubsim: %s: %w", file, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	report, err := load.Run(ctx, options)
	if err != nil {
		return fmt.Errorf("hubsim: %w", err)
	}
	if o.JSON {
		return json.NewEncoder(stdout).Encode(report)
	}
	_, err = fmt.Fprint(stdout, report)
	return err
}
