package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/service"
)

type doCmd struct {
	socketFlag
	Device string   `arg:"" help:"Device, as in the config."`
	Action string   `arg:"" help:"Action; 'fieldpost devices DEVICE' lists them."`
	Args   []string `arg:"" optional:"" help:"Arguments as name=value; true, false and numbers are taken as such, quote a text that looks like one: name='\"12\"'."`
	JSON   bool     `help:"Print JSON." name:"json"`
}

func (c *doCmd) Run(io streams) error {
	args, err := parseArgs(c.Args)
	if err != nil {
		return &failure{exitUsage, err}
	}
	var r gateway.Result
	req := service.DoRequest{Device: gateway.DeviceID(c.Device), Action: c.Action, Args: args}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := c.client().wait(ctx, http.MethodPost, "/v1/do", req, &r); {
	case errors.Is(err, errInterrupted):
		return fmt.Errorf("%w; a command that has arrived goes on, and its result is reported to the hub", err)
	case err != nil:
		return err
	}
	if err := printResult(io.out, r, c.JSON); err != nil {
		return err
	}
	if r.Status != gateway.StatusDone {
		return &failure{exitFailed, fmt.Errorf("%s %s: %s", c.Device, c.Action, r.Status)}
	}
	return nil
}

// parseArgs reads name=value pairs; the value is JSON if it is a number, a
// boolean or a quoted string, otherwise a plain text.
func parseArgs(pairs []string) (map[string]any, error) {
	args := make(map[string]any, len(pairs))
	for _, pair := range pairs {
		name, text, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("argument %q: want name=value", pair)
		}
		if _, twice := args[name]; twice {
			return nil, fmt.Errorf("argument %s is given twice", name)
		}
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			v = text
		}
		switch v.(type) {
		case float64, bool, string:
			args[name] = v
		default:
			args[name] = text
		}
	}
	return args, nil
}
