package service

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/fieldpost/fieldpost/gateway/health"
	"github.com/fieldpost/fieldpost/storeforward"
)

// Conditions that the service itself raises.
const (
	conditionDisk    = "queue-disk"
	conditionDamaged = "queue-damaged"
	conditionQueue   = "queue-refuses"
	conditionSalvage = "queue-salvaged"
	conditionClock   = "clock-untrusted"
	conditionWitness = "clock-doubtful"
	conditionStuck   = "worker-stuck"
	conditionMetrics = "metrics-unserved"
	// What the hub asks for by the twin has failed.
	conditionRolledBack = "settings-rolled-back"
)

// watchEvery is how often conditions are derived and the watchdog is fed; it
// is well below half of any sensible WatchdogSec.
const watchEvery = 5 * time.Second

// watch tells systemd that the gateway is ready, derives conditions, and feeds
// the watchdog as long as every worker gets on with its work.
func (s *Service) watch(ctx context.Context) error {
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		s.log.Warn("systemd cannot be told that the gateway is ready", "error", err)
	}
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("watchdog", "error", err)
	}
	every := watchEvery
	if interval > 0 {
		every = min(every, interval/3)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		s.derive()
		if s.alive() && interval > 0 {
			s.notify(daemon.SdNotifyWatchdog)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// alive reports whether every worker has made progress in time.
func (s *Service) alive() bool {
	stuck := s.health.Stuck()
	if len(stuck) == 0 {
		s.health.Clear(conditionStuck)
		return true
	}
	s.health.Raise(conditionStuck, health.Error, fmt.Sprintf("no progress from %s; the watchdog will restart the gateway", strings.Join(stuck, ", ")))
	return false
}

// derive states the conditions that follow from snapshots.
func (s *Service) derive() {
	s.starts.Look()
	stats := s.queue.Stats()
	if r := stats.Salvage; r != nil {
		s.set(conditionSalvage, true, health.Warning, salvageText(r))
	}
	s.set(conditionQueue, stats.Problem != "", health.Error, stats.Problem)
	s.set(conditionClock, !s.clock.Trusted(), health.Warning,
		"the time is earlier than it can be; waiting for NTP or a GPS receiver, until then the hub cannot be reached")
	doubt := s.clock.Doubt()
	s.set(conditionWitness, doubt != "", health.Warning, doubt)
	s.derivePlan()
	s.notify("STATUS=" + s.oneLine(stats))
}

// salvageText says how far the salvage of a damaged queue has come.
func salvageText(r *storeforward.SalvageReport) string {
	state := "being brought over"
	if !r.Done.IsZero() {
		state = "brought over"
	}
	return fmt.Sprintf("a damaged queue was found; %d messages and %d commands %s, %d messages lost, see the gap records; what is left is in %s",
		r.Messages, r.Commands, state, r.Lost, strings.Join(r.Dirs, ", "))
}

func (s *Service) set(code string, holds bool, severity health.Severity, summary string) {
	if holds {
		s.health.Raise(code, severity, summary)
	} else {
		s.health.Clear(code)
	}
}

// oneLine is what systemctl status shows.
func (s *Service) oneLine(stats storeforward.Stats) string {
	link := "offline"
	if s.now().link.sender.Stats().Connected {
		link = "connected"
	}
	return fmt.Sprintf("%s, %d messages waiting, %d conditions", link, waiting(stats), len(s.health.Conditions()))
}

func (s *Service) notifyStopping() { s.notify(daemon.SdNotifyStopping) }

// notify is best effort: without systemd there is nobody to tell.
func (s *Service) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil && !errors.Is(err, os.ErrNotExist) {
		var op *net.OpError
		if !errors.As(err, &op) {
			s.log.Debug("systemd", "error", err)
		}
	}
}

// startJitter spreads the first connections of a fleet after a power cut. A
// start by hand connects at once.
func startJitter() time.Duration {
	if os.Getenv("INVOCATION_ID") == "" { // set by systemd
		return 0
	}
	return rand.N(10 * time.Second)
}
