// Command demo shows the whole of fieldpost on one machine: it starts a hub
// simulator and the gateway, prints what arrives at the hub, and sends a
// command every few seconds. `make run` builds and runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.data, "data", ".demo", "directory for everything that the demo writes")
	flag.StringVar(&o.bin, "bin", ".demo/bin", "directory of the programs fieldpost and hubsim")
	flag.StringVar(&o.config, "config", "configs/demo.yaml", "config of the gateway")
	flag.StringVar(&o.mqtt, "mqtt", "127.0.0.1:18883", "address of the simulated hub for MQTT; port 0 takes a free one")
	flag.StringVar(&o.https, "https", "127.0.0.1:18443", "address of the simulated hub for HTTPS; port 0 takes a free one")
	flag.DurationVar(&o.every, "every", 4*time.Second, "time between commands")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

type options struct {
	data, bin, config, mqtt, https string
	every                          time.Duration
}

func run(ctx context.Context, o options) error {
	var err error
	if o.data, err = filepath.Abs(o.data); err != nil {
		return err
	}
	if err := os.MkdirAll(o.data, 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	sim, err := start(o.data, filepath.Join(o.bin, "hubsim"), nil,
		"--data", filepath.Join(o.data, "hub"), "--mqtt", o.mqtt, "--https", o.https, "--device", "demo")
	if err != nil {
		return err
	}
	defer sim.stop()
	hub, err := openHub(ctx, filepath.Join(o.data, "hub"), sim)
	if err != nil {
		return err
	}
	gateway, err := start(o.data, filepath.Join(o.bin, "fieldpost"), []string{
		"FIELDPOST_DEMO_DIR=" + o.data, "FIELDPOST_DEMO_HUB=" + hub.device, "FIELDPOST_DEMO_CA=" + hub.ca,
		"FIELDPOST_DEMO_HTTPS_PORT=" + hub.httpsPort(),
	}, "run", "--config", o.config)
	if err != nil {
		return err
	}
	defer gateway.stop()
	introduce(o, hub)

	go func() { cancel(watch(sim, gateway)) }()
	show := &screen{sent: make(map[string]sentCommand)}
	commanded := make(chan struct{})
	go func() {
		defer close(commanded)
		hub.command(ctx, o.every, show)
	}()
	err = hub.follow(ctx, show)
	cancel(err)
	<-commanded
	fmt.Println("\nstopping")
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// watch returns when one of the programs has ended by itself.
func watch(a, b *program) error {
	select {
	case <-a.ended:
		return a.failure()
	case <-b.ended:
		return b.failure()
	}
}

func introduce(o options, h *hub) {
	fmt.Printf(`fieldpost demo: real readings of this machine and of a simulated board
  page      https://%s/   (own certificate; the browser will ask)
  look in   %s status --socket %s/fieldpost.sock
  logs      %s/fieldpost.log, %s/hubsim.log
  stop      Ctrl-C

`, h.https, filepath.Join(o.bin, "fieldpost"), o.data, o.data, o.data)
}
