package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/fieldpost/fieldpost/gateway/service"
)

type statusCmd struct {
	socketFlag
	JSON  bool `help:"Print JSON." name:"json"`
	Watch bool `help:"Print again every two seconds until Ctrl-C."`
}

func (c *statusCmd) Run(io streams) error {
	if !c.Watch {
		return c.print(io.out)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(stop)
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		fmt.Fprint(io.out, "\033[H\033[2J") // home and clear
		if err := c.print(io.out); err != nil {
			return err
		}
		select {
		case <-stop:
			return nil
		case <-tick.C:
		}
	}
}

func (c *statusCmd) print(out io.Writer) error {
	var s service.Status
	if err := c.client().get("/v1/status", &s); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(out, s)
	}
	printStatus(out, s)
	return nil
}

func printStatus(out io.Writer, s service.Status) {
	fmt.Fprintf(out, "%s  fieldpost %s (%s)  up %s  memory %s", s.Gateway, s.Version, s.Commit, age(s.Now.Sub(s.Started)), bytesText(s.Memory.RSSBytes))
	if !s.ClockTrusted {
		fmt.Fprintf(out, "  CLOCK NOT TRUSTED (%s)", s.Now.Format(timeLayout))
	}
	fmt.Fprintln(out)
	printUpstream(out, s)
	if len(s.Conditions) == 0 {
		fmt.Fprintln(out, "health    all well")
	}
	for _, c := range s.Conditions {
		fmt.Fprintf(out, "health    %s %s: %s (since %s)\n", c.Severity, c.Code, c.Summary, ago(s.Now, c.Since))
	}
	fmt.Fprintf(out, "commands ")
	for _, status := range slices.Sorted(maps.Keys(s.Commands.Final)) {
		fmt.Fprintf(out, " %d %s,", s.Commands.Final[status], status)
	}
	fmt.Fprintf(out, " %d waiting\n", s.Commands.Waiting)
	if len(s.Rules) > 0 {
		fmt.Fprintf(out, "rules     %s\n", rulesLine(s.Rules))
	}
	printSettings(out, s.Settings)
	printUploads(out, s.Uploads)
	printFirmware(out, s.Now, s.Devices)
	fmt.Fprintln(out)
	printLanes(out, s.Queue)
	if s.Queue.Problem != "" {
		fmt.Fprintf(out, "queue     %s\n", s.Queue.Problem)
	}
	fmt.Fprintln(out)
	printDevices(out, s.Now, s.Devices)
}

// printSettings says what the hub has set or tried to; mostly nothing.
func printSettings(out io.Writer, s service.SettingsStatus) {
	if len(s.Devices) == 0 && len(s.Errors) == 0 && !s.CA {
		return
	}
	fmt.Fprintf(out, "settings  version %d of the hub is %s", s.Version, s.Status)
	if s.By != "" {
		fmt.Fprintf(out, " by the command %s", s.By)
	}
	if s.Probation {
		fmt.Fprint(out, ", on probation")
	}
	if s.CA {
		fmt.Fprint(out, ", with CAs in place of ca_file")
	}
	if len(s.Devices) > 0 {
		fmt.Fprint(out, ", not as in the config file:")
	}
	for _, id := range s.Devices {
		fmt.Fprintf(out, " %s", id)
	}
	fmt.Fprintln(out)
	for _, e := range s.Errors {
		fmt.Fprintf(out, "          %s\n", e)
	}
}

// printFirmware says of which devices the firmware is being replaced; mostly nothing.
func printFirmware(out io.Writer, now time.Time, devices []service.DeviceStatus) {
	for _, d := range devices {
		if f := d.Firmware; f != nil {
			fmt.Fprintf(out, "firmware  %s: %s → %s, %s, %d %% stored (since %s)\n", d.ID, cmp.Or(f.From, "unknown"), f.To, f.Phase, f.Percent, ago(now, f.Since))
		}
	}
}

func printUpstream(out io.Writer, s service.Status) {
	fmt.Fprintf(out, "upstream  ")
	printSender(out, s.Now, s.Upstream)
	printLink(out, s)
	for _, c := range s.Children {
		fmt.Fprintf(out, "child     %s: ", c.Lane)
		printSender(out, s.Now, c.UpstreamStatus)
	}
}

func printSender(out io.Writer, now time.Time, u service.UpstreamStatus) {
	if u.Connected {
		fmt.Fprintf(out, "%s, connected for %s", u.Upstream, age(now.Sub(u.Since)))
	} else {
		fmt.Fprintf(out, "%s, OFFLINE", u.Upstream)
		if !u.Since.IsZero() {
			fmt.Fprintf(out, " for %s", age(now.Sub(u.Since)))
		}
		if u.NextAttempt.After(now) {
			fmt.Fprintf(out, ", next attempt in %s", age(u.NextAttempt.Sub(now)))
		}
		if u.LastError != "" {
			fmt.Fprintf(out, ": %s", u.LastError)
		}
	}
	fmt.Fprintf(out, "\n          %d sent, %d acknowledged (last %s), %d repeated, %d rejected, %d reconnects\n",
		u.Published, u.Acknowledged, ago(now, u.LastPuback), u.Resent, u.Rejected, u.Reconnects)
}

func printDevices(out io.Writer, now time.Time, devices []service.DeviceStatus) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "device\tdriver\tstate\tsince\tlast reading\treads\tfailures\treason")
	for _, d := range devices {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", d.ID, d.Driver, d.State, ago(now, d.Since), ago(now, d.LastRead), d.Reads, d.Failures, d.Reason)
	}
	w.Flush()
	for _, d := range devices {
		printHolds(out, d)
	}
}

// printHolds says what holds a device where it is.
func printHolds(out io.Writer, d service.DeviceStatus) {
	if d.Output == nil {
		return
	}
	if d.Output.MadeSafe != "" {
		fmt.Fprintf(out, "%s was made safe, since %s\n", d.ID, d.Output.MadeSafe)
	}
	if !d.Output.OverrideUntil.IsZero() {
		fmt.Fprintf(out, "%s is under manual control until %s\n", d.ID, shownTime(d.Output.OverrideUntil))
	}
}
