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
	log := newLog(io.err, loaded.Gateway.Log)
	s, err := service.New(loaded, service.Build{Version: version, Commit: commit, Time: buildTime()}, log)
	if err != nil {
		return &failure{exitConfig, err}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	log.Info("fieldpost starts", "version", version, "commit", commit, "config", c.Config)
	if err := s.Run(ctx); err != nil {
		if errors.Is(err, gateway.ErrInvalid) {
			return &failure{exitConfig, fmt.Errorf("fieldpost: %w", err)}
		}
		return fmt.Errorf("fieldpost: %w", err)
	}
	log.Info("fieldpost has stopped")
	return nil
}

// newLog writes one line an event. Under journald, which stamps lines itself,
// the level goes in front as journald wants it.
func newLog(out io.Writer, level string) *slog.Logger {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		least = slog.LevelInfo
	}
	if os.Getenv("JOURNAL_STREAM") == "" {
		return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: least}))
	}
	return slog.New(newJournalHandler(out, least))
}
