package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/fieldpost/fieldpost/gateway"
	"github.com/fieldpost/fieldpost/gateway/service"
)

// configFlag is shared by the verbs that read the config.
type configFlag struct {
	Config string `help:"Config file." short:"c" default:"/etc/fieldpost/fieldpost.yaml" env:"FIELDPOST_CONFIG" type:"path"`
}

type runCmd struct {
	configFlag
}

func (c *runCmd) Run(io streams) error {
	loaded, err := service.Load(c.Config)
	if err != nil {
		return &failure{exitConfig, err}
	}
	level := new(slog.LevelVar)
	_ = level.UnmarshalText([]byte(loaded.Gateway.Log)) // it is one of those that exist
	log := newLog(io.err, level)
	for _, advice := range loaded.Advice() {
		log.Warn("config", "advice", advice)
	}
	limitMemory()
	s, err := service.New(loaded, service.Build{Version: version, Commit: commit, Time: buildTime()}, log)
	if err != nil {
		return &failure{exitConfig, err}
	}
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	log.Info("fieldpost starts", "version", version, "commit", commit, "config", c.Config)
	if err := s.Run(ctx, service.Process{Reload: reload, Level: level}); err != nil {
		if errors.Is(err, gateway.ErrInvalid) {
			return &failure{exitConfig, fmt.Errorf("fieldpost: %w", err)}
		}
		return fmt.Errorf("fieldpost: %w", err)
	}
	log.Info("fieldpost has stopped")
	return nil
}

// memoryLimit is what the Go runtime keeps to if it can, in bytes: small boards
// have 512 MB for everything, and a burst need not take more because the
// collector waits. A gateway at work holds less than half of it; the mapped
// files of the queue and the program itself come on top.
const memoryLimit = 28 << 20

// limitMemory leaves a limit from the environment as it is.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}

// newLog writes one line an event. Under journald, which stamps lines itself,
// the level goes in front as journald wants it.
func newLog(out io.Writer, least slog.Leveler) *slog.Logger {
	if os.Getenv("JOURNAL_STREAM") == "" {
		return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: least}))
	}
	return slog.New(newJournalHandler(out, least))
}
