// Command hubsim is a double of Azure IoT Hub on this machine.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/fieldpost/fieldpost/gateway/hubsim"
)

const description = `hubsim is a double of Azure IoT Hub, to try the gateway and to test it without
a cloud account. It speaks MQTT to devices and HTTPS to back ends, and shows on
a page what arrives.

Addresses, certificate and connection strings are in DIR/hubsim.json as soon as
it is ready.`

// options is the command line.
type options struct {
	Serve serveOptions `cmd:"" default:"withargs" help:"Run the hub; this is what happens without a command, too."`
	Load  loadOptions  `cmd:"" help:"Let many simulated gateways loose on a running hubsim, and report."`
}

// serveOptions are those of the hub.
type serveOptions struct {
	Data      string        `required:"" placeholder:"DIR" help:"Directory for keys, certificates and all that was received."`
	MQTT      string        `name:"mqtt" default:"127.0.0.1:8883" placeholder:"ADDR" help:"Address for devices, MQTT over TLS (${default}); port 0 takes any that is free."`
	HTTPS     string        `name:"https" default:"127.0.0.1:8443" placeholder:"ADDR" help:"Address for back ends, the page and MQTT over WebSocket (${default})."`
	Host      string        `default:"localhost" placeholder:"NAME" help:"Name under which devices reach it (${default}); it goes into connection strings and the certificate."`
	Device    []string      `sep:"none" placeholder:"ID" help:"A device to have; may be repeated."`
	DeviceCA  []string      `name:"device-ca" sep:"none" placeholder:"FILE" help:"Certificates (PEM) of an authority that signs those of devices; may be repeated."`
	C2DTTL    time.Duration `name:"c2d-ttl" default:"1h" placeholder:"TIME" help:"Life of a cloud-to-device message whose sender names no expiry (${default}), 1m to 48h."`
	UploadTTL time.Duration `name:"upload-ttl" default:"1h" placeholder:"TIME" help:"Life of the token for one file upload (${default}), 1s to 24h."`
	Daily     int           `name:"daily-messages" placeholder:"N" help:"Messages of 4 KB in a day, both ways together (no limit)."`
	PerSecond int           `name:"sends-per-second" placeholder:"N" help:"Messages that all devices may send in a second (no limit)."`
	Verbose   bool          `short:"v" help:"Log more."`
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line and returns the exit code: 0, 1 for failed, or
// 2 for a wrong command line.
func run(args []string, stdout, stderr io.Writer) int {
	var o options
	exit := -1
	parser, err := kong.New(&o, kong.Name("hubsim"), kong.Description(description),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { exit = code }))
	if err != nil {
		fmt.Fprintln(stderr, "hubsim:", err)
		return 1
	}
	command, err := parser.Parse(args)
	if exit >= 0 { // help was printed
		return exit
	}
	if err != nil {
		fmt.Fprintf(stderr, "hubsim: %v\nTry: hubsim --help\n", err)
		return 2
	}
	if command.Command() == "load" {
		err = runLoad(o.Load, stdout, stderr)
	} else {
		err = serve(o.Serve, stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// serve runs the hub until SIGINT or SIGTERM.
func serve(o serveOptions, stderr io.Writer) error {
	level := slog.LevelInfo
	if o.Verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	hub, err := hubsim.Start(ctx, hubsim.Options{
		Data: o.Data, MQTT: o.MQTT, HTTPS: o.HTTPS, Host: o.Host, Devices: o.Device, DeviceCAs: o.DeviceCA,
		DailyMessages: o.Daily, SendsPerSecond: o.PerSecond, CommandTTL: o.C2DTTL, UploadTTL: o.UploadTTL, Log: log,
	})
	if err != nil {
		return err
	}
	info := hub.Info()
	log.Info("ready", "mqtt", info.MQTT, "page", "https://"+info.HTTPS+"/", "ca", info.CA)
	<-ctx.Done()
	err = hub.Close()
	log.Info("stopped")
	return err
}
