package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/service"
)

type safeCmd struct {
	configFlag
	Socket string        `help:"Socket of the gateway, if it runs; left out: that of its config." env:"FIELDPOST_SOCKET" type:"path"`
	Device string        `arg:"" optional:"" help:"Only this output."`
	Within time.Duration `help:"Give up after so long." default:"8s"`
	JSON   bool          `help:"Print JSON." name:"json"`
}

// Help says when it is of use.
func (safeCmd) Help() string {
	return `Brings outputs into their safe state at once, all at the same time. The running
gateway is asked to do so, past all commands that wait; rules and commands that come
later can switch them again. If none runs, the outputs are opened here: those of the
config that was in force last. The systemd unit does so whenever the gateway has
ended, be it by a crash.

Exit codes: 0 all are in their safe state, 1 one is not, 78 no gateway runs and the
config cannot be read whole (what can be read of it is made safe all the same).

Examples:
  fieldpost safe
  fieldpost safe pump`
}

func (c *safeCmd) Run(io streams) error {
	if c.Within <= 0 {
		return &failure{exitUsage, errors.New("--within must be more than 0")}
	}
	loaded, broken := service.LoadInForce(c.Config)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, c.Within)
	defer cancel()
	states, running, err := c.states(ctx, io, loaded)
	if running {
		broken = nil // the gateway goes by what it has in force
	}
	if err != nil {
		return errors.Join(err, broken)
	}
	if c.JSON {
		err = printJSON(io.out, states)
	} else {
		err = printSafeStates(io.out, states)
	}
	if broken != nil {
		return &failure{exitConfig, errors.Join(err, broken)}
	}
	return errors.Join(err, unsafeOnes(states))
}

// states has the outputs made safe by the gateway, or here if none runs.
func (c *safeCmd) states(ctx context.Context, io streams, loaded *service.Loaded) (states []service.SafeState, running bool, err error) {
	device := gateway.DeviceID(c.Device)
	socket := socketFlag{Socket: cmp.Or(c.Socket, loaded.Gateway.Socket)}
	switch running, err = socket.running(); {
	case err != nil:
	case running:
		err = socket.client().wait(ctx, http.MethodPost, "/v1/safe", service.SafeRequest{Device: device}, &states)
	default:
		states, err = loaded.Safe(ctx, device, newLog(io.err, slog.LevelWarn))
	}
	return states, running, err
}

// unsafeOnes is an error if an output is not in its safe state.
func unsafeOnes(states []service.SafeState) error {
	failed := 0
	for _, st := range states {
		if st.Error != "" {
			failed++
		}
	}
	if failed == 0 {
		return nil
	}
	return &failure{exitFailed, fmt.Errorf("%d of %d outputs are not known to be in their safe state", failed, len(states))}
}

func printSafeStates(out io.Writer, states []service.SafeState) error {
	if len(states) == 0 {
		_, err := fmt.Fprintln(out, "there are no outputs")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, st := range states {
		if st.Error != "" {
			fmt.Fprintf(w, "FAILED\t%s\t%s\n", st.Label, st.Error)
		} else {
			fmt.Fprintf(w, "safe\t%s\n", st.Label)
		}
	}
	return w.Flush()
}
