package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/service"
)

type devicesCmd struct {
	socketFlag
	Device string `arg:"" optional:"" help:"Show this device with its latest readings and its actions."`
	JSON   bool   `help:"Print JSON." name:"json"`
}

func (c *devicesCmd) Run(io streams) error {
	var list []service.DeviceStatus
	if err := c.client().get("/v1/devices", &list); err != nil {
		return err
	}
	if c.Device != "" {
		var names []string
		for _, d := range list {
			if string(d.ID) == c.Device {
				return c.show(io.out, d)
			}
			names = append(names, string(d.ID))
		}
		return fmt.Errorf("no device %q; there is %s", c.Device, strings.Join(names, ", "))
	}
	if c.JSON {
		return printJSON(io.out, list)
	}
	printDevices(io.out, time.Now(), list)
	return nil
}

func (c *devicesCmd) show(out io.Writer, d service.DeviceStatus) error {
	if c.JSON {
		return printJSON(out, d)
	}
	printDevices(out, time.Now(), []service.DeviceStatus{d})
	if len(d.Settings) > 0 {
		fmt.Fprintf(out, "\nsettings  of the hub: %s\n", strings.Join(d.Settings, ", "))
	}
	if d.Processing != nil {
		printProcessing(out, *d.Processing)
	}
	if d.Output != nil {
		printOutput(out, *d.Output)
	}
	for _, a := range d.Alerts {
		fmt.Fprintf(out, "alert     %s: %s\n", alertName(d.ID, a), cmp.Or(a.Text, "has begun"))
	}
	if len(d.Latest) > 0 {
		fmt.Fprintln(out, "\nlatest readings")
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, r := range d.Latest {
			fmt.Fprintf(w, "  %s\t%s %s\t%s\t%s\n", r.Name, r.Plain(), r.Unit, shownTime(r.Time), qualityNote(r.Quality))
		}
		w.Flush()
	}
	if len(d.Actions) > 0 {
		fmt.Fprintln(out, "\nactions")
		for _, a := range d.Actions {
			printAction(out, d.ID, a)
		}
	}
	return nil
}

// printOutput says how the outputs of a device stand.
func printOutput(out io.Writer, o service.OutputStatus) {
	var values []string
	for _, name := range slices.Sorted(maps.Keys(o.Outputs)) {
		values = append(values, fmt.Sprintf("%s %v", name, o.Outputs[name]))
	}
	text := cmp.Or(strings.Join(values, ", "), "not known")
	switch o.Safe {
	case "yes":
		text += "; in its safe state"
	case "no":
		text += "; away from its safe state"
	}
	fmt.Fprintf(out, "\noutputs   %s\n", text)
}

// alertName has the device too, if that stands behind another one.
func alertName(of gateway.DeviceID, a gateway.Alert) string {
	if a.Device == of {
		return a.ID
	}
	return string(a.Device) + "." + a.ID
}

// printProcessing says what has become of the readings, in words.
func printProcessing(out io.Writer, p service.ProcessingStats) {
	fmt.Fprintf(out, "\nreadings  %d measured, %d sent", p.Taken, p.Sent)
	for _, part := range []struct {
		n    uint64
		what string
	}{
		{p.Derived, "derived"},
		{p.Windowed, "summed up"},
		{p.Suppressed, "held back"},
		{uint64(p.Held), "waiting for their rate limit"},
		{p.Dropped, "dropped"},
		{p.Bad, "outside of their valid range"},
	} {
		if part.n > 0 {
			fmt.Fprintf(out, ", %d %s", part.n, part.what)
		}
	}
	fmt.Fprintln(out)
}

func qualityNote(q gateway.Quality) string {
	if q == gateway.Good {
		return ""
	}
	return string(q)
}

func printAction(out io.Writer, device gateway.DeviceID, a gateway.Action) {
	fmt.Fprintf(out, "  %s\n", strings.TrimSpace("fieldpost do "+string(device)+" "+a.Name+" "+a.Usage()))
	fmt.Fprintf(out, "      %s\n", a.Help)
	for _, arg := range a.Args {
		fmt.Fprintf(out, "      %s: %s%s\n", arg.Name, arg.Wants(), helpNote(arg.Help))
	}
	switch {
	case len(a.Allowed) > 0:
		fmt.Fprintf(out, "      for %s only\n", strings.Join(a.Allowed, ", "))
	case a.Allowed != nil:
		fmt.Fprintln(out, "      for nobody: allow and allow_actions have nobody in common")
	}
	again := "is never repeated: unknown-outcome"
	switch {
	case a.Resumable:
		again = "goes on where it was"
	case a.Idempotent:
		again = "is repeated"
	}
	fmt.Fprintf(out, "      takes at most %v; if the power fails meanwhile it %s\n", a.Timeout, again)
}

func helpNote(help string) string {
	if help == "" {
		return ""
	}
	return ", " + help
}
